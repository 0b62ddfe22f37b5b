"""The recipes of packaging/ are read and linted by the tools that they are written for, without a network.

Run by `make test-packaging`, in an environment of its own. packaging/README.md says what was tried beyond this.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rattler_build
from easybuild.framework.easyconfig import easyconfig, style
from easybuild.tools.options import set_up_configuration
from spython.main.parse.parsers import get_parser

SECONDS = 60
PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
EASYCONFIGS = [file.name for file in sorted((PACKAGING / "easybuild").glob("*.eb"))]
# What conda-forge says for all recipes.
VARIANTS = """
python: ["3.12.* *_cpython"]
c_compiler: [gcc]
cxx_compiler: [gxx]
rust_compiler: [rust]
c_stdlib: [sysroot]
c_stdlib_version: ["2.17"]
"""


def test_every_folder_has_its_line_in_the_readme() -> None:
    text = (PACKAGING / "README.md").read_text()
    folders = [folder.name for folder in PACKAGING.iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    assert len(folders) == 5
    for folder in folders:
        assert f"| [{folder}]({folder}) |" in text


@pytest.mark.parametrize(
    ("package", "project", "crate"), [("ipclusterz", "", "runtime/py"), ("ipclusterz-mpi", "mpi-bridge", "mpi-bridge")]
)
def test_recipes_name_the_wheel_that_is_built_and_its_oldest_python(package: str, project: str, crate: str) -> None:
    root = PACKAGING.parent
    python = _only(r'abi3-py(3\d+)"', root / crate / "Cargo.toml")
    glibc = _only(r"^GLIBC=([\d.]+)$", root / "scripts/dist/zig.sh").replace(".", "_")
    (easyconfig,) = (PACKAGING / "easybuild").glob(f"{package}-[0-9]*.eb")
    name = package.replace("-", "_")
    source = _only(r"^sources = \['(.+)'\]$", easyconfig)
    assert source == f"{name}-%(version)s-cp{python}-abi3-manylinux2014_x86_64.manylinux_{glibc}_x86_64.whl"
    oldest = _only(r'^requires-python = ">=(.+)"$', root / project / "pyproject.toml")
    assert f"python@{oldest}:" in (PACKAGING / "spack" / f"py_{name}" / "package.py").read_text()


def _only(pattern: str, file: Path) -> str:
    (found,) = set(re.findall(pattern, file.read_text(), re.MULTILINE))
    return found


# -- conda-forge ------------------------------------------------------------------------------------------------------


def test_conda_recipe_is_rendered(recipes: Path) -> None:
    recipe = rattler_build.Stage0Recipe.from_file(str(recipes / "conda-forge/recipe.yaml"))
    variants = rattler_build.VariantConfig.from_yaml(VARIANTS)
    (rendered,) = recipe.render(variants, rattler_build.RenderConfig())
    package = rendered.recipe.to_dict()
    version = package["package"]["version"]
    (source,) = package["source"]
    assert source["url"].endswith(f"/v{version}/ipclusterz-{version}.tar.gz")
    assert "rust_linux-64" in package["requirements"]["build"]


def test_conda_recipe_with_an_unknown_key_is_refused(recipes: Path) -> None:
    recipe = (recipes / "conda-forge/recipe.yaml").read_text().replace("license_file:", "licence_file:")
    with pytest.raises(rattler_build.RecipeParseError):
        rattler_build.Stage0Recipe.from_yaml(recipe)


# -- EasyBuild --------------------------------------------------------------------------------------------------------


class NoModules:
    """Stands for the modules of a site: there are none."""

    def available(self, *_: object, **__: object) -> list[str]:
        return []


@pytest.fixture(scope="module")
def easybuild(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its configuration, which is global and can be set once."""
    folder = tmp_path_factory.mktemp("easybuild")
    options = [f"--prefix={folder}", f"--tmpdir={folder}", f"--robot-paths={folder}", "--module-syntax=Tcl"]
    set_up_configuration(args=[*options, "--allow-use-as-root-and-accept-consequences"], silent=True)


@pytest.mark.usefixtures("easybuild")
@pytest.mark.parametrize("name", EASYCONFIGS)
def test_easyconfig_is_accepted(name: str, recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(easyconfig, "modules_tool", NoModules)
    file = recipes / "easybuild" / name
    assert style.check_easyconfigs_style([str(file)]) == 0
    config = easyconfig.EasyConfig(str(file), validate=True)
    # By its name it is found.
    toolchain = f"{config['toolchain']['name']}-{config['toolchain']['version']}"
    assert name == f"{config['name']}-{config['version']}-{toolchain}.eb"
    (source,) = config["sources"]
    assert source.endswith(".whl")
    assert len(config["checksums"]) == 1


@pytest.mark.usefixtures("easybuild")
def test_easyconfig_with_a_misspelt_key_is_refused(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(easyconfig, "modules_tool", NoModules)
    file = recipes / "easybuild" / EASYCONFIGS[0]
    file.write_text(file.read_text().replace("sanity_check_paths", "sanity_check_pathz"))
    with pytest.raises(easyconfig.EasyBuildError, match="sanity_check_pathz"):
        easyconfig.EasyConfig(str(file), validate=True)


# -- Spack ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["py_ipclusterz", "py_ipclusterz_mpi"])
def test_spack_package_has_the_class_of_its_folder(folder: str, recipes: Path) -> None:
    tree = ast.parse((recipes / "spack" / folder / "package.py").read_text())
    (package,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert package.name == folder.title().replace("_", "")
    assert ast.get_docstring(package)
    called = {
        node.func.id for node in ast.walk(package) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called == {"license", "version", "depends_on"}
    # Spack allows for long addresses.
    file = recipes / "spack" / folder / "package.py"
    assert _run(sys.executable, "-m", "pycodestyle", "--ignore=E501", str(file)) == ""


# -- Apptainer --------------------------------------------------------------------------------------------------------


def test_apptainer_definition_is_read(recipes: Path) -> None:
    file = recipes / "apptainer/ipclusterz.def"
    (recipe,) = get_parser("singularity")(str(file)).parse().values()
    assert recipe.fromHeader.startswith("python:3")
    assert "wheels /opt/wheels" in recipe.files
    assert recipe.cmd == 'exec ipclusterz "$@"'
    for section in ("post", "environment", "runscript", "test"):
        script = _section(file.read_text(), section)
        assert script
        assert _run("sh", "-n", "-c", script) == ""


def _section(definition: str, name: str) -> str:
    """The lines of a section, up to the next one."""
    lines = definition.partition(f"\n%{name}\n")[2].splitlines()
    ends = [number for number, line in enumerate(lines) if line.startswith("%")]
    return "\n".join(lines[: ends[0] if ends else None])


# -- systemd ----------------------------------------------------------------------------------------------------------


def test_unit_is_verified(recipes: Path) -> None:
    assert _verify(recipes / "systemd/ipclusterz@.service") == ""


def test_unit_with_an_unknown_key_is_told_of(recipes: Path) -> None:
    unit = recipes / "systemd/ipclusterz@.service"
    unit.write_text(unit.read_text().replace("RestartSec=", "RestartSeconds="))
    assert "RestartSeconds" in _verify(unit)


def _verify(unit: Path) -> str:
    # A manager of units wants a folder, also where none runs.
    run = unit.parent / "run"
    run.mkdir(mode=0o700)
    return _run("systemd-analyze", "--user", "verify", str(unit), XDG_RUNTIME_DIR=str(run))


def _run(*command: str, **environment: str) -> str:
    """All that it prints; what it warns of, too."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
