"""Words for apps that nobody named."""

ADJECTIVES = (
    "amber azure brave breezy bright calm cosmic crisp dapper eager early fabled fair fancy fleet fluent frosty gentle "
    "gilded glad golden grand hardy hidden jolly keen kind lively lucid lunar mellow merry mighty modest noble "
    "nimble opal patient placid plucky polar proud quick quiet rapid rosy royal rugged rustic sandy serene silent "
    "silver smooth snowy solar solid stellar sturdy sunny swift tidy tranquil unified upbeat velvet vivid warm wise "
    "witty young zesty"
).split()
NOUNS = (
    "acorn albatross anchor antelope aspen aurora badger beacon bison brook canyon cedar comet condor coral cove "
    "crane cypress delta dolphin eagle elk ember falcon fern finch fjord forest fox galaxy garnet glacier gondola "
    "gorge harbor hare harvest heron island jaguar juniper kayak kestrel lagoon lantern lark lemur lynx maple "
    "meadow mesa meteor moose nebula oasis ocean orchard orchid osprey otter panther pebble pelican pine planet "
    "plateau prairie puffin quartz quasar raven reef ridge river sailboat sparrow spruce summit teal thicket tiger "
    "tundra valley violet walnut willow yacht zebra"
).split()
