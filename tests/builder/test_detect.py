import pytest

from builder.detect import Way, choose_way
from builder.errors import BuildFailed


@pytest.mark.parametrize(
    ("root", "asked", "way"),
    [
        (["Dockerfile"], "", Way.DOCKERFILE),
        (["Dockerfile", "Procfile"], "", Way.DOCKERFILE),
        (["Dockerfile", "Procfile"], "procfile", Way.BUILDPACK),
        (["Dockerfile", "Procfile"], "dockerfile", Way.DOCKERFILE),
        (["Dockerfile"], "procfile", Way.DOCKERFILE),
        (["Procfile"], "dockerfile", Way.BUILDPACK),
        (["requirements.txt"], "", Way.BUILDPACK),
    ],
)
def test_names_in_the_root_and_config_decide(root, asked, way):
    assert choose_way(root, {"HEPHY_BUILDER": asked} if asked else {}) is way


def test_asking_for_what_is_not_there_is_told():
    with pytest.raises(BuildFailed, match="there is none"):
        choose_way(["x"], {"HEPHY_BUILDER": "dockerfile"})
    with pytest.raises(BuildFailed, match="can be dockerfile or procfile"):
        choose_way(["Dockerfile"], {"HEPHY_BUILDER": "nix"})
