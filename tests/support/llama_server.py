"""A real llama.cpp server with a tiny model of random weights, in a process of its own: `python llama_server.py FILE PORT CONTEXT`.

The model has two layers and a tokenizer of bytes, so every answer is nonsense, but the protocol is real: schemas become
grammars, streams and errors are the server's own. Needs the dependency group `servers`.
"""

import importlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.cli.serve import listen

LAYERS, WIDTH, HEADS, INNER, TRAINED = 2, 64, 4, 128, 32_768
TEMPLATE = """{%- if tools %}<|system|>You may call: {{ tools | tojson }}
Answer a call as <tool_call>{"name": "...", "arguments": {}}</tool_call>
{% endif %}{%- for message in messages %}<|{{ message.role }}|>{{ message.content }}
{%- if message.tool_calls %}{% for call in message.tool_calls %}<tool_call>{{ call.function | tojson }}</tool_call>
{%- endfor %}{% endif %}
{% endfor %}{%- if add_generation_prompt %}<|assistant|>{% endif %}"""


PREFERRED = {'"': 1.0, "</s>": 0.9, "]": 0.8, "}": 0.7}
"""Tokens that the model likes: what ends a text, a list, an object or the answer, so that no answer goes on for ever."""


def write_model(path):
    """Writes the model as a GGUF file, about half a megabyte."""
    gguf, np = importlib.import_module("gguf"), importlib.import_module("numpy")

    random = np.random.default_rng(7)
    specials, kinds = ["<unk>", "<s>", "</s>"], gguf.TokenType
    tokens = [*specials, *_byte_letters(), "th"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(TRAINED)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.NORMAL] * 257])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    shapes = {"token_embd": (len(tokens), WIDTH), "output": (len(tokens), WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{name}": (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
        shapes |= {f"blk.{layer}.{name}": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"blk.{layer}.{name}": (INNER, WIDTH) for name in ("ffn_gate", "ffn_up")}
        shapes[f"blk.{layer}.ffn_down"] = (WIDTH, INNER)
    for name, shape in shapes.items():
        values = np.ones(shape) if "norm" in name else random.normal(0, 0.02 if "blk" in name else 0.2, shape)
        if name == "token_embd":
            values[:, 0] = 4.0  # the same for every token, so that `output` can prefer some of them
        if name == "output":
            values[:, 0] = 0.0
            for token, weight in PREFERRED.items():
                values[tokens.index(token), 0] = weight
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _byte_letters():
    """The letter that stands for each byte in the tokenizers of GPT-2 and its heirs."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


@contextmanager
def llama_server(folder, context=16_384):
    """Runs the server; yields its base URL. Skips the test where the group `servers` is not installed."""
    pytest.importorskip("xllamacpp", reason="`uv sync --group servers` installs it")
    pytest.importorskip("gguf", reason="`uv sync --group servers` installs it")
    write_model(model := Path(folder) / "tiny.gguf")
    socket, url = listen()
    port = socket.getsockname()[1]
    socket.close()
    log = (Path(folder) / "llama.log").open("wb")
    process = subprocess.Popen([sys.executable, __file__, str(model), str(port), str(context)], stdout=log, stderr=log)
    try:
        _await_health(url, process, Path(log.name))
        yield f"{url}/v1"
    finally:
        process.kill()
        process.wait()
        log.close()


def _await_health(url, process, log):
    for _ in range(300):
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail("the llama.cpp server did not start within 30 seconds")


def _serve(model, port, context):
    xllamacpp = importlib.import_module("xllamacpp")

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.port, parameters.n_ctx, parameters.n_parallel = int(port), int(context), 1
    parameters.use_jinja, parameters.warmup, parameters.cpuparams.n_threads = True, False, 2
    parameters.n_gpu_layers = 0
    server = xllamacpp.Server(parameters)  # it ends with its object
    while server:
        time.sleep(3600)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
