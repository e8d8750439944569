# @summary Says where the files of scheme `puppet` are, when nobody has
#
# The program's own default depends on the user: `check`, which root runs, would look elsewhere than the services.
#
# @param tls The block, or none
# @param ssl_dir The folder
# @return The block, or none
#
# @api private
function prometheus_streams::tls(Optional[Hash] $tls, Stdlib::Absolutepath $ssl_dir) >> Optional[Hash] {
  if $tls and $tls['scheme'] == 'puppet' and !$tls['ssl_dir'] {
    $tls + { 'ssl_dir' => $ssl_dir }
  } else {
    $tls
  }
}
