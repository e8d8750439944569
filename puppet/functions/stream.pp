# @summary Gives a stream the credentials that hold for both, unless it has some of its own, and completes its TLS
#
# @param stream The stream; an empty one is none, and stays so
# @param credentials Keys and values for it
# @param ssl_dir Where the files of scheme `puppet` are, when nobody has said it
# @return The stream
#
# @api private
function prometheus_streams::stream(
  Variant[Hash, Sensitive[Hash]] $stream,
  Hash $credentials,
  Stdlib::Absolutepath $ssl_dir,
) >> Variant[Hash, Sensitive[Hash]] {
  if $stream =~ Sensitive {
    Sensitive(prometheus_streams::stream($stream.unwrap, $credentials, $ssl_dir))
  } else {
    $own = $stream.filter |$key, $_value| {
      $key =~ /\A(user|password|token|nkey|credentials)(_file)?\z/
    }
    $with_tls = $stream['tls'] ? {
      undef   => $stream,
      default => $stream + { 'tls' => prometheus_streams::tls($stream['tls'], $ssl_dir) },
    }
    if $stream.empty or !$own.empty {
      $with_tls
    } else {
      $with_tls + $credentials
    }
  }
}
