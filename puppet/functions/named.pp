# @summary Turns a hash of blocks into the list that the program reads
#
# @param blocks A hash, whose keys are the names; or the list itself, which stays as it is
# @param key The key of the name
# @return The list, in the order of the hash
#
# @api private
function prometheus_streams::named(
  Variant[Array, Hash, Sensitive[Array], Sensitive[Hash]] $blocks,
  String[1] $key,
) >> Variant[Array, Sensitive[Array]] {
  case $blocks {
    Sensitive: { Sensitive(prometheus_streams::named($blocks.unwrap, $key)) }
    Hash: { $blocks.map |$name, $block| { { $key => $name } + $block } }
    default: { $blocks }
  }
}
