#!/usr/bin/env python3
"""FID, IS and KID of `likeness metrics` beside torch-fidelity's, on the same pictures and the same (formula-made) weights of
FID's Inception v3. Optional: it needs PyTorch. Exit status 1 if a score differs by more than 1e-3 of its value.

    python3 -m venv venv && venv/bin/pip install torch torchvision torch-fidelity safetensors pillow numpy
    swift build -c release --product likeness
    venv/bin/python Tests/Parity/fidelity.py [--pictures 50] [--likeness .build/release/likeness]

With `--resize clean` the pictures reach torch-fidelity resized as clean-fid does it (Pillow's bicubic filter on floats).
"""
import argparse, json, math, pathlib, subprocess, tempfile
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
import torch_fidelity
import torch_fidelity.feature_extractor_inceptionv3 as inception
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

parser = argparse.ArgumentParser()
parser.add_argument("--pictures", type=int, default=50)
parser.add_argument("--likeness", default=".build/release/likeness")
parser.add_argument("--resize", choices=["tf1", "clean"], default="tf1")
args = parser.parse_args()


def hash_uniform(n, k, seed=1):
    with np.errstate(over="ignore"):
        h = np.arange(n, dtype=np.uint32) * np.uint32(2654435761) + np.uint32((k + 1) * 40503 + seed)
        h ^= h >> np.uint32(16)
        h *= np.uint32(2246822519)
        h ^= h >> np.uint32(13)
        h *= np.uint32(3266489917)
        return (h ^ (h >> np.uint32(16))).astype(np.float64) / 2**32


class Network(inception.FeatureExtractorInceptionV3):
    """Its constructor wants downloaded weights."""

    def load_state_dict(self, *args, **kwargs):
        return None


inception.load_state_dict_from_url = lambda *a, **k: {}
network = Network("inception-v3-compat", ["2048", "logits_unbiased"]).eval()
state = network.state_dict()
names = sorted(n for n in state if not n.endswith("num_batches_tracked"))
for k, name in enumerate(names):
    shape = list(state[name].shape)
    u = 2 * hash_uniform(int(np.prod(shape)), k) - 1
    if len(shape) > 1:
        w = math.sqrt(6 / int(np.prod(shape[1:]))) * u
    elif name.endswith(("running_var", ".weight")):
        w = 1 + 0.2 * u
    else:
        w = 0.2 * u
    state[name].copy_(torch.from_numpy(w).float().reshape(shape))

if args.resize == "clean":
    # The extractor resizes to 299 by itself: pictures of that size pass through, but it wants whole levels. So its resize is
    # given the floats that belong to the picture.
    def resize(x, size, align_corners):
        planes = [[np.asarray(Image.fromarray(c.numpy().astype(np.float32), mode="F").resize(size, Image.BICUBIC)).clip(0, 255)
                   for c in image] for image in x]
        return torch.from_numpy(np.array(planes))
    inception.interpolate_bilinear_2d_like_tensorflow1x = resize


def draw(rng, shift):
    """Soft blobs on a gradient, of a random size."""
    h, w = rng.integers(40, 420, 2)
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    image = np.stack([x * rng.uniform(50, 200), y * rng.uniform(50, 200), (x + y) * rng.uniform(20, 100)], -1) + shift
    for _ in range(rng.integers(2, 7)):
        cy, cx, r = rng.uniform(0, 1, 3)
        image += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (0.02 + 0.1 * r))[..., None] * rng.uniform(-150, 150, 3)
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    weights = folder / "inception.safetensors"
    save_file({n: state[n].contiguous() for n in names}, weights)
    features = []
    for i, name in enumerate(["a", "b"]):
        (folder / name).mkdir()
        rng = np.random.default_rng(i)
        for j in range(args.pictures + 3 * i):
            Image.fromarray(draw(rng, 20 * i)).save(folder / name / f"{j:04}.png")
        outputs = []
        for file in sorted((folder / name).iterdir()):
            pixels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None]
            with torch.no_grad():
                outputs.append(network(pixels))
        features.append([torch.cat([o[k] for o in outputs]) for k in range(2)])
    size = args.pictures // 2
    settings = dict(kid_subsets=20, kid_subset_size=size, verbose=False)
    want = {
        "fid": fid_statistics_to_metric(*[fid_features_to_statistics(f[0]) for f in features], False)["frechet_inception_distance"],
        "inception_score_mean": isc_features_to_metric(features[0][1], splits=5)["inception_score_mean"],
        "inception_score_deviation": isc_features_to_metric(features[0][1], splits=5)["inception_score_std"],
    }
    kid = kid_features_to_metric(features[0][0], features[1][0], **settings)
    want["kid_mean"], want["kid_deviation"] = kid["kernel_inception_distance_mean"], kid["kernel_inception_distance_std"]
    answer = json.loads(subprocess.run(
        [args.likeness, "metrics", str(folder / "a"), str(folder / "b"), "--network", str(weights), "--resize", args.resize,
         "--splits", "5", "--subsets", "20", "--subset-size", str(size), "--json"],
        check=True, capture_output=True, text=True).stdout)

print(f"torch-fidelity {torch_fidelity.__version__}, {answer['pictures']} pictures against {answer['others']}, resize {answer['resize']}")
failed = False
for name, value in want.items():
    error = abs(answer["scores"][name] - value) / abs(value)
    failed |= not error <= 1e-3
    print(f"{name:28} torch-fidelity {value:.8g}  likeness {answer['scores'][name]:.8g}  relative difference {error:.1e}")
raise SystemExit(int(failed))
