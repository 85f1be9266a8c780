#!/usr/bin/env python3
"""Records what NVML says of the first card: idle, under load, and as it cools.

Needs an NVIDIA driver, `nvidia-ml-py`, `torch` for the load, and `nm`. Writes into the folder that is named:
`answers.json` (every question that takes a card alone, temperatures, thresholds, clocks and numbered fields, each with its
answer or NVML's error; serial numbers and addresses are left out), `curve.csv` (one line for each sample), `symbols.txt`
(what the library exports) and `sizes.json` (the size of each structure in bytes).

    record.py FOLDER [IDLE_S LOAD_S COOL_S]
"""

import ctypes
import inspect
import json
import pathlib
import subprocess
import sys
import threading
import time

import pynvml as nvml

RATE = 10  # samples a second
# What names this very card or machine, or changes something, or waits.
PRIVATE = ("serial", "uuid", "pciinfo", "pdi", "boardid", "hostname", "minornumber", "gpuinstanceid", "process", "bus")
NOT_ASKED = ("eventset", "wait", "handle", "accounting", "vgpu", "gpm", "confcompute")


def plain(value):
    """A value as JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, ctypes.Structure):
        return {name: plain(getattr(value, name)) for name, *_ in value._fields_}
    if isinstance(value, ctypes.Union):
        return {name: plain(getattr(value, name)) for name, *_ in value._fields_}
    if isinstance(value, (ctypes.Array, list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, ctypes._SimpleCData):
        return plain(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def ask(function, *arguments):
    """The answer, or NVML's error with its number."""
    begun = time.perf_counter()
    try:
        answer = {"answer": plain(function(*arguments))}
    except nvml.NVMLError as error:
        answer = {"error": error.value, "says": str(error)}
    except Exception as error:  # a wrapper that wants other arguments says nothing of the card
        return {"not_asked": repr(error)}
    return answer | {"us": round((time.perf_counter() - begun) * 1e6)}


def constants(prefix):
    return {name: value for name, value in vars(nvml).items() if name.startswith(prefix) and isinstance(value, int)}


def answers(card):
    said = {"driver": ask(nvml.nvmlSystemGetDriverVersion), "nvml": ask(nvml.nvmlSystemGetNVMLVersion)}
    said["count"] = ask(nvml.nvmlDeviceGetCount)
    said["card 99"] = ask(nvml.nvmlDeviceGetHandleByIndex, 99)
    for name, function in sorted(vars(nvml).items()):
        lower = name.lower()
        if not name.startswith("nvmlDeviceGet") or any(word in lower for word in PRIVATE + NOT_ASKED):
            continue
        needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        if len(needed) == 1:
            answer = ask(function, card)
            if "not_asked" not in answer:
                said[name] = answer
    for prefix, function in (
        ("NVML_TEMPERATURE_THRESHOLD_", nvml.nvmlDeviceGetTemperatureThreshold),
        ("NVML_CLOCK_", nvml.nvmlDeviceGetClockInfo),
        ("NVML_CLOCK_", nvml.nvmlDeviceGetMaxClockInfo),
        ("NVML_CLOCK_", nvml.nvmlDeviceGetApplicationsClock),
        ("NVML_PERF_POLICY_", nvml.nvmlDeviceGetViolationStatus),
        ("NVML_PCIE_UTIL_", nvml.nvmlDeviceGetPcieThroughput),
    ):
        for name, value in constants(prefix).items():
            said[f"{function.__name__} {name}"] = ask(function, card, value)
    said["nvmlDeviceGetTemperature NVML_TEMPERATURE_GPU"] = ask(nvml.nvmlDeviceGetTemperature, card, 0)
    if hasattr(nvml, "nvmlDeviceGetTemperatureV"):
        said["nvmlDeviceGetTemperatureV 0"] = ask(nvml.nvmlDeviceGetTemperatureV, card, 0)
    for version in ("nvmlMemory_v2",):
        said[f"nvmlDeviceGetMemoryInfo {version}"] = ask(nvml.nvmlDeviceGetMemoryInfo, card, getattr(nvml, version))
    for kind in (0, 1):
        for counter in (0, 1):
            said[f"nvmlDeviceGetTotalEccErrors {kind} {counter}"] = ask(
                nvml.nvmlDeviceGetTotalEccErrors, card, kind, counter
            )
    said["nvmlDeviceGetFieldValues"] = fields(card)
    return said


def fields(card):
    """Every numbered field, one at a time: one that is unknown must not spoil the others."""
    named = {value: name for name, value in constants("NVML_FI_").items() if name != "NVML_FI_MAX"}
    said = {}
    for number in range(1, getattr(nvml, "NVML_FI_MAX", 300)):
        got = ask(nvml.nvmlDeviceGetFieldValues, card, [number])
        if "answer" in got:
            field = got["answer"][0]
            kind, value = field["valueType"], field["value"]
            keys = ["dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal"]
            shown = value.get(keys[kind]) if isinstance(value, dict) and kind < len(keys) else value
            got = {"code": field["nvmlReturn"], "type": kind, "value": shown if field["nvmlReturn"] == 0 else None}
        said[f"{number} {named.get(number, '')}".strip()] = got
    return said


SAMPLED = {
    "temperature_c": lambda card: nvml.nvmlDeviceGetTemperature(card, 0),
    "memory_temperature_c": lambda card: nvml.nvmlDeviceGetFieldValues(card, [82])[0].value.uiVal,
    "power_mw": nvml.nvmlDeviceGetPowerUsage,
    "energy_mj": nvml.nvmlDeviceGetTotalEnergyConsumption,
    "sm_mhz": lambda card: nvml.nvmlDeviceGetClockInfo(card, 1),
    "memory_mhz": lambda card: nvml.nvmlDeviceGetClockInfo(card, 2),
    "throttle": nvml.nvmlDeviceGetCurrentClocksThrottleReasons,
    "gpu_percent": lambda card: nvml.nvmlDeviceGetUtilizationRates(card).gpu,
    "memory_percent": lambda card: nvml.nvmlDeviceGetUtilizationRates(card).memory,
    "memory_used": lambda card: nvml.nvmlDeviceGetMemoryInfo(card).used,
}


def load(until, done):
    import torch

    left = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    right = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    while time.monotonic() < until:
        for _ in range(20):
            torch.matmul(left, right)
        torch.cuda.synchronize()
        done[0] += 20


def curve(card, folder, phases):
    products = [0]
    with open(folder / "curve.csv", "w", encoding="ascii") as out:
        print("t_s", "phase", "products", *SAMPLED, "asked_us", sep=",", file=out)
        begun = time.monotonic()
        for phase, seconds in phases:
            until = time.monotonic() + seconds
            if phase == "load":
                threading.Thread(target=load, args=(until, products), daemon=True).start()
            while time.monotonic() < until:
                at = time.monotonic()
                row = []
                for function in SAMPLED.values():
                    try:
                        row.append(function(card))
                    except nvml.NVMLError as error:
                        row.append(f"E{error.value}")
                taken = round((time.monotonic() - at) * 1e6)
                print(f"{at - begun:.3f}", phase, products[0], *row, taken, sep=",", file=out)
                time.sleep(max(0, 1 / RATE - (time.monotonic() - at)))
            print(f"{phase}: {seconds} s, {products[0]} products", flush=True)


def sizes():
    kinds = inspect.getmembers(nvml, lambda one: inspect.isclass(one) and issubclass(one, ctypes.Structure))
    return {name: ctypes.sizeof(kind) for name, kind in kinds if getattr(kind, "_fields_", None)}


def symbols(folder):
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    found = [line.split("=>")[1].strip() for line in listed.splitlines() if "libnvidia-ml.so.1" in line]
    found += [line.split()[-1] for line in open("/proc/self/maps", encoding="ascii") if "libnvidia-ml" in line]
    said = subprocess.run(["nm", "-D", "--defined-only", found[-1]], capture_output=True, text=True, check=True).stdout
    names = sorted({line.split()[-1].split("@")[0] for line in said.splitlines() if " T " in line})
    (folder / "symbols.txt").write_text("\n".join(names) + "\n", encoding="ascii")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    idle, loaded, cooling = (float(one) for one in (sys.argv[2:5] or (20, 120, 60)))
    nvml.nvmlInit()
    card = nvml.nvmlDeviceGetHandleByIndex(0)
    write = lambda name, what: (folder / name).write_text(json.dumps(what, indent=1) + "\n", encoding="utf-8")
    write("sizes.json", sizes())
    write("answers.json", answers(card))
    try:
        symbols(folder)
    except (OSError, IndexError, subprocess.CalledProcessError) as error:
        print(f"no symbols: {error}", flush=True)
    curve(card, folder, (("idle", idle), ("load", loaded), ("cool", cooling)))


main()
