"""Writes the torch files of TorchFileTests: python make.py (any torch of 2.x, NumPy; the files are committed)."""
import collections
import os
import pickle
import sys
import types
import zipfile

import numpy
import torch

os.chdir(os.path.dirname(os.path.abspath(__file__)))
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
tensors = collections.OrderedDict([
    ("whole", base), ("transposed", base.t()), ("slice", base[1:3, 2:5]), ("scalar", torch.tensor(2.5)),
    ("half", torch.tensor([1.0, -2.0, 65504.0]).half()), ("brain", torch.tensor([1.0, -2.0, 3.140625]).bfloat16()),
    ("double", torch.tensor([0.1], dtype=torch.float64)), ("long", torch.tensor([-3, 4])),
    ("flags", torch.tensor([True, False])), ("empty", torch.zeros(0, 3)),
    ("parameter", torch.nn.Parameter(torch.ones(2, 2))),
])
torch.save(tensors, "zip.pt")
torch.save(tensors, "legacy.pt", _use_new_zipfile_serialization=False)
torch.save({"state_dict": {"a.weight": torch.ones(3)}, "epoch": 3, "lr": 1e-3, "betas": (0.9, 0.99), "note": "x"},
           "trainer.ckpt")
torch.save({"image_proj": {"proj.weight": torch.full((2, 2), 7.0)}, "ip_adapter": {"1.to_k_ip.weight": torch.ones(1)}},
           "ip-adapter.bin")


# What sd-v1-4.ckpt and v1-5-pruned.ckpt hold beside the tensors: the trainer's callback as a key, a number of NumPy's.
lightning = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
lightning.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": lightning.__name__})
for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
    sys.modules[name] = types.ModuleType(name)
sys.modules[lightning.__name__] = lightning
torch.save({"state_dict": {"a.weight": torch.ones(3)}, "epoch": 3,
            "callbacks": {lightning.ModelCheckpoint: {"best_model_score": numpy.float64(0.5)}}}, "lightning.ckpt")


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/likeness-was-here",)


torch.save({"weight": torch.ones(1), "extra": Evil()}, "evil.pt")
with open("evil.pkl", "wb") as file:
    pickle.dump({"weight": Evil()}, file, protocol=2)
with zipfile.ZipFile("zip.pt") as archive, zipfile.ZipFile("compressed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
    for name in archive.namelist():
        packed.writestr(name, archive.read(name))
