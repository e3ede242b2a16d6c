"""What a file says never makes a native library load, nor anything go to the network or another process: every way of taking a
model in is tried in a process that watches. Libraries and providers are loaded where the caller names them, nowhere else."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import ModelProto, TensorProto, parser
from test_archive_code import archive, body

TESTS = Path(__file__).parent
#: Modules that reach the network.
REACHING = frozenset(
    "socket socketserver ssl http urllib urllib3 requests httpx aiohttp ftplib smtplib xmlrpc asyncio webbrowser".split()
)
#: What loads libraries.
LOADING = frozenset(
    "CDLL PyDLL OleDLL WinDLL LoadLibrary dlopen register_custom_ops_library register_execution_provider_library".split()
)
MODEL = """
<ir_version: 10, opset_import: ["" : 21, "{domain}" : 1]>
g (float[2, 2] x) => (float[2, 2] y)
<float[2, 2] w = {{1, 2, 3, 4}}>
{{
    h = MatMul (x, w)
    y = {call} (h)
}}
"""


def _model(call: str = "Relu", domain: str = "local") -> ModelProto:
    return parser.parse_model(MODEL.format(call=call, domain=domain))


def _metadata(library: str) -> ModelProto:
    model = _model()
    config = {
        "session_options": {"custom_op_library": library, "session.use_env_allocators": "1"},
        "providers": [library],
    }
    for key, value in {"ort_config": json.dumps(config), "custom_ops_library": library, "ep": library}.items():
        model.metadata_props.add(key=key, value=value)
    return model


def _provider_context(library: str) -> ModelProto:
    """The node that hands a file to a provider's own compiler."""
    model = _model("com.microsoft.EPContext", "com.microsoft")
    node = model.graph.node[1]
    for name, value in {"ep_cache_context": library, "source": "QNN", "ep_sdk_version": "1"}.items():
        node.attribute.append(onnx.helper.make_attribute(name, value))
    node.attribute.append(onnx.helper.make_attribute("embed_mode", 0))
    return model


def _elsewhere(location: str) -> ModelProto:
    model = _model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def _addresses() -> ModelProto:
    model = _model()
    model.doc_string = model.graph.doc_string = model.producer_name = "http://127.0.0.1:9/model"
    model.metadata_props.add(key="url", value="http://127.0.0.1:9/model")
    return model


#: By name: the model, given the path of a native library that lies beside it, and one of the ways that takes it ("" : none does).
FILES: dict[str, tuple[Callable[[str], ModelProto], str]] = {
    "a plain model": (lambda _: _model(), "call"),
    "an operator of a domain called as a library": (lambda _: _model("evil.so.Relu", "evil.so"), "export"),
    "an operator that runs Python": (lambda _: _model("ai.onnx.contrib.PyOp", "ai.onnx.contrib"), "export"),
    "metadata that configures sessions": (_metadata, "call"),
    "a context of a provider": (_provider_context, "export"),
    "weights at an address": (lambda _: _elsewhere("http://127.0.0.1:9/w.bin"), ""),
    "weights in a library": (lambda library: _elsewhere(Path(library).name), "call"),
    "addresses in texts": (lambda _: _addresses(), "call"),
}  # fmt: skip
ARCHIVES = {
    "an archive that loads a library": 'ops.aten.load_library("{library}")\n    return x',
    "an archive that fetches": 'return torch.hub.load_state_dict_from_url("http://127.0.0.1:9/w")',
    "an archive that calls over the network": 'return torch.distributed.rpc.rpc_sync("http://127.0.0.1:9", "f")',
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process did with all files."""
    import _ctypes

    base = tmp_path_factory.mktemp("files")
    for name in (*FILES, *ARCHIVES):
        folder = base / name
        folder.mkdir()
        library = folder / "evil.so"
        shutil.copy(_ctypes.__file__, library)  # a real one, which could be loaded
        if name in FILES:
            (folder / "model.onnx").write_bytes(FILES[name][0](str(library)).SerializeToString())
        else:
            archive(folder / "model.pt", body(ARCHIVES[name].format(library=library)))
    command = [sys.executable, "-m", "support.watched_ways", *(str(base / name) for name in (*FILES, *ARCHIVES))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=TESTS, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", [*FILES, *ARCHIVES])
def test_nothing_outside_is_reached(name: str, seen: dict[str, Any]) -> None:
    assert seen[name]["asked"] == []
    way = FILES[name][1] if name in FILES else ""
    assert way in seen[name]["done"] if way else not {"load", "call", "session"} & set(seen[name]["done"])


def test_every_way_was_tried(seen: dict[str, Any]) -> None:
    commands = {f"bridge {c}" for c in ("inspect", "code", "graph", "diff", "run", "verify", "convert")}
    assert set(seen["a plain model"]["done"]) == {"load", "code", "call", "export", "print", "session", *commands}


def test_the_watch_sees(tmp_path: Path) -> None:
    """What the test above looks for would be found."""
    script = f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
from support.watched_ways import Watch, connections, mapped
from pathlib import Path
import ctypes, shutil, socket, _ctypes, onnxruntime
library = Path({str(tmp_path)!r}) / "evil.so"
shutil.copy(_ctypes.__file__, library)
w = Watch()
onnxruntime.SessionOptions().register_custom_ops_library(str(library))
held = socket.socket()
ctypes.CDLL(str(library))
print([a.split()[0] for a in w.asked], len(connections()) > 0, len(mapped(library.parent)) > 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    linux = sys.platform == "linux"
    assert done.stdout.strip() == f"['library', 'socket.__new__', 'ctypes.dlopen'] {linux} {linux}", done.stderr


def test_nothing_in_the_library_could_reach_outside() -> None:
    """No module names what opens connections or loads libraries."""
    found = []
    for package in ("bridge", "ir", "importers", "exporters"):
        for path in (TESTS.parent / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                loads = (
                    [node.attr] if isinstance(node, ast.Attribute) else [node.id] if isinstance(node, ast.Name) else []
                )
                found += [f"{path}: {n}" for n in names if n.partition(".")[0] in REACHING]
                found += [f"{path}: {n}" for n in loads if n in LOADING]
    assert found == []
