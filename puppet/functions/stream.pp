# @summary Gives a stream the credentials that hold for both, unless it has some of its own
#
# @param stream The stream; an empty one is none, and stays so
# @param credentials Keys and values for it
# @return The stream
#
# @api private
function prometheus_streams::stream(
  Variant[Hash, Sensitive[Hash]] $stream,
  Hash $credentials,
) >> Variant[Hash, Sensitive[Hash]] {
  if $stream =~ Sensitive {
    Sensitive(prometheus_streams::stream($stream.unwrap, $credentials))
  } else {
    $own = $stream.filter |$key, $_value| {
      $key =~ /\A(user|password|token|nkey|credentials)(_file)?\z/
    }
    if $stream.empty or !$own.empty {
      $stream
    } else {
      $stream + $credentials
    }
  }
}
