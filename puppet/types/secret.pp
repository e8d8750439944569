# @summary A secret: text, text that Puppet keeps out of its reports, or a function that the agent calls
#
# Whatever it is given as, the module writes it to a file of its own as `Sensitive`.
# A plain string still stands among the parameters of the class in the catalog; `Sensitive` hides it there,
# and a `Deferred` is not in the catalog at all.
type Prometheus_streams::Secret = Variant[String[1], Sensitive[String[1]], Deferred]
