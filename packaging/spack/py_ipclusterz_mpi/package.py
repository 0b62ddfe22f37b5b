from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyIpclusterzMpi(PythonPackage):
    """MPI for the engines of ipclusterz, built against the MPI that it is to run with."""

    homepage = "https://github.com/ipclusterz/ipclusterz"
    url = "https://github.com/ipclusterz/ipclusterz/releases/download/v0.2.0/ipclusterz_mpi-0.2.0.tar.gz"
    git = "https://github.com/ipclusterz/ipclusterz.git"

    license("BSD-3-Clause")

    version("0.2.0", sha256="<sha256 of ipclusterz_mpi-0.2.0.tar.gz>")

    depends_on("c", type="build")
    # bindgen reads mpi.h with libclang.
    depends_on("llvm+clang", type="build")
    depends_on("rust@1.95:", type="build")
    depends_on("py-maturin@1.16:1", type="build")
    depends_on("mpi")

    depends_on("python@3.11:", type=("build", "run"))
    depends_on("py-ipclusterz", type="run")

    import_modules = ["ipclusterz_mpi"]

    def setup_build_environment(self, env: EnvironmentModifications) -> None:
        env.set("MPICC", self.spec["mpi"].mpicc)
        env.set("LIBCLANG_PATH", self.spec["llvm"].prefix.lib)
