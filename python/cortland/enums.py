"""The choices of a compile spec, named as in coremltools, whose own enums are accepted wherever these are."""

from enum import Enum, IntEnum


class target(IntEnum):
    """Oldest system to run on; the number is the Core ML specification version. Systems of one year are one target."""

    iOS13 = macOS10_15 = watchOS6 = tvOS13 = 4
    iOS14 = macOS10_16 = macOS11 = watchOS7 = tvOS14 = 5
    iOS15 = macOS12 = watchOS8 = tvOS15 = 6
    iOS16 = macOS13 = watchOS9 = tvOS16 = 7
    iOS17 = macOS14 = watchOS10 = tvOS17 = 8
    iOS18 = macOS15 = watchOS11 = tvOS18 = 9
    iOS26 = macOS26 = watchOS26 = tvOS26 = 10


class ComputeUnit(Enum):
    ALL = "all"
    CPU_AND_GPU = "cpu_and_gpu"
    CPU_ONLY = "cpu_only"
    CPU_AND_NE = "cpu_and_ne"


class precision(Enum):
    FLOAT16 = "float16"
    FLOAT32 = "float32"


def _member(value, argument, example):
    if not isinstance(value, Enum):
        raise TypeError(f"{argument} is {value!r}; use a member of an enum, such as {example}")
    return value


# coremltools is never imported: its members are told by their names and values.

def compute_unit_name(unit):
    return _member(unit, "compute_unit", "cortland.ComputeUnit.ALL").name.lower()


def target_version(chosen):
    if chosen is None:
        return None
    version = _member(chosen, "minimum_deployment_target", "cortland.target.iOS18").value
    if not isinstance(version, int):
        raise TypeError(f"minimum_deployment_target is {chosen!r}; use a member of cortland.target")
    return int(version)


def precision_name(chosen):
    name = _member(chosen, "compute_precision", "cortland.precision.FLOAT16").value
    if not isinstance(name, str):
        raise TypeError(f"compute_precision is {chosen!r}; use a member of cortland.precision")
    return name
