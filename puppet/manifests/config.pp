# @summary Writes the configuration, and the files of its secrets
#
# @api private
class prometheus_streams::config {
  assert_private()

  if $prometheus_streams::ensure == 'present' {
    contain prometheus_streams::config::files
  } else {
    contain prometheus_streams::config::absent
  }
}
