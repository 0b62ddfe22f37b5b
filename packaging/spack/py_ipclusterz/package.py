from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyIpclusterz(PythonPackage):
    """MPI-aware launcher and runtime for interactive parallel Python."""

    homepage = "https://github.com/ipclusterz/ipclusterz"
    url = "https://github.com/ipclusterz/ipclusterz/releases/download/v0.2.0/ipclusterz-0.2.0.tar.gz"
    git = "https://github.com/ipclusterz/ipclusterz.git"

    license("BSD-3-Clause")

    version("0.2.0", sha256="<sha256 of ipclusterz-0.2.0.tar.gz>")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    # libzmq and libsodium are built with the package; SSH and its encryption are Spack's.
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("rust@1.95:", type="build")
    depends_on("py-maturin@1.16:1", type="build")
    depends_on("openssl@3:")
    depends_on("zlib-api")

    depends_on("python@3.9:", type=("build", "run"))
    depends_on("py-cloudpickle@3:", type=("build", "run"))

    import_modules = ["ipclusterz"]
