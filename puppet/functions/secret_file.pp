# @summary Tells where the file of one of `prometheus_streams::secrets` is
#
# For values in the configuration that the module does not move to files by itself.
#
# @param name The name of the secret
# @return The path of its file
#
# @example A secret that two blocks share
#   class { 'prometheus_streams':
#     secrets        => { 'scrape.password' => Sensitive('…') },
#     scrape_configs => {
#       'node' => {
#         'basic_auth'     => {
#           'username'      => 'scraper',
#           'password_file' => prometheus_streams::secret_file('scrape.password'),
#         },
#         'static_configs' => [{ 'targets' => ['db1:9100'] }],
#       },
#     },
#   }
function prometheus_streams::secret_file(Prometheus_streams::Secret_name $name) >> Stdlib::Absolutepath {
  "/etc/prometheus-streams/secrets/${name}"
}
