# @summary Writes the file of one secret, and shows nothing of it
#
# @param content The secret
#
# @api private
define prometheus_streams::hidden_file (
  Variant[Prometheus_streams::Secret, Sensitive, Deferred] $content,
) {
  assert_private()

  $hidden = $content ? {
    String  => Sensitive($content),
    default => $content,
  }

  file { $title:
    ensure    => file,
    owner     => $prometheus_streams::config_owner,
    group     => $prometheus_streams::group,
    mode      => $prometheus_streams::secret_mode,
    content   => $hidden,
    show_diff => false,
    backup    => false,
  }
}
