#!/usr/bin/env python3
"""References for the face networks: facenet-pytorch's MTCNN, extract_face and InceptionResnetV1, and insightface's IResNet
and alignment (written out below from their definition, as insightface's training code is not a package). Weights and
pictures are an integer hash, so only results are stored.

Optional; the results lie beside this file. To make them again:
    python3 -m venv venv && venv/bin/pip install torch torchvision facenet-pytorch pillow numpy --no-deps \
        && venv/bin/pip install requests tqdm  # facenet-pytorch pins old versions of what it uses, which newer ones replace
    venv/bin/python Tests/FacesTests/Fixtures/make.py
"""
import json, math, pathlib
import numpy as np
import torch
from torch import nn
from PIL import Image
from facenet_pytorch import MTCNN, InceptionResnetV1, extract_face

HERE = pathlib.Path(__file__).parent
torch.manual_seed(0)
torch.set_num_threads(1)


def hash32(i, k, seed):
    with np.errstate(over="ignore"):
        h = i.astype(np.uint32) * np.uint32(2654435761) + np.uint32((k + 1) * 40503 + seed)
        h ^= h >> np.uint32(16)
        h *= np.uint32(2246822519)
        h ^= h >> np.uint32(13)
        h *= np.uint32(3266489917)
        return h ^ (h >> np.uint32(16))


def fill(model, seed):
    """Every tensor from the hash of its place among the sorted names; answers [name, shape] in that order."""
    state = model.state_dict()
    names = sorted((n for n in state if not n.endswith("num_batches_tracked")), key=lambda n: n.encode())
    rows = []
    for k, name in enumerate(names):
        shape = list(state[name].shape)
        u = 2 * (hash32(np.arange(int(np.prod(shape))), k, seed).astype(np.float64) / 2**32) - 1
        if len(shape) > 1:
            w = math.sqrt(6 / int(np.prod(shape[1:]))) * u
            if any(part in name for part in ["conv4_2", "dense5_2", "dense6_2", "dense6_3"]):
                w *= 0.1
        elif "prelu" in name:
            w = 0.25 + 0.2 * u
        elif name.endswith(("running_var", ".weight")):
            w = 1 + 0.2 * u
        else:
            w = 0.2 * u
        state[name].copy_(torch.from_numpy(w).float().reshape(shape))
        rows.append([name, shape])
    return rows


def picture(width, height, seed):
    """Blocks of 4×4 pixels of one colour."""
    y, x, c = np.meshgrid(np.arange(height) // 4, np.arange(width) // 4, np.arange(3), indexing="ij")
    return (hash32((y * 1000 + x) * 3 + c, 0, seed) >> np.uint32(24)).astype(np.uint8)


def numbers(x):
    return [float(f"{v:.7g}") for v in np.asarray(x, dtype=np.float64).flatten()]


class IBasicBlock(nn.Module):
    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inplanes, eps=1e-05)
        self.conv1 = nn.Conv2d(inplanes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes, eps=1e-05)
        self.prelu = nn.PReLU(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes, eps=1e-05)
        self.downsample = downsample

    def forward(self, x):
        out = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return out + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    def __init__(self, depths):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=1e-05)
        self.prelu = nn.PReLU(64)
        width = 64
        for i, (planes, depth) in enumerate(zip([64, 128, 256, 512], depths)):
            blocks = []
            for j in range(depth):
                down = None
                if j == 0:
                    down = nn.Sequential(nn.Conv2d(width, planes, 1, 2, bias=False), nn.BatchNorm2d(planes, eps=1e-05))
                blocks.append(IBasicBlock(width, planes, 2 if j == 0 else 1, down))
                width = planes
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.bn2 = nn.BatchNorm2d(512, eps=1e-05)
        self.fc = nn.Linear(512 * 49, 512)
        self.features = nn.BatchNorm1d(512, eps=1e-05)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(torch.flatten(self.bn2(x), 1)))


def align(image, landmarks):
    """insightface's norm_crop for 112: Umeyama's similarity by singular values, then bilinear."""
    dst = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
    src = np.asarray(landmarks, dtype=np.float64)
    a, b = src.mean(0), dst.mean(0)
    p, q = src - a, dst - b
    u, s, vt = np.linalg.svd(q.T @ p / len(src))
    d = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    r = u @ np.diag(d) @ vt
    scale = (s * d).sum() / p.var(0).sum()
    inverse = np.linalg.inv(scale * r)
    yy, xx = np.mgrid[0:112, 0:112]
    place = (np.stack([xx, yy], -1) - b) @ inverse.T + a
    x0, y0 = np.floor(place[..., 0]).astype(int), np.floor(place[..., 1]).astype(int)
    fx, fy = (place[..., 0] - x0)[..., None], (place[..., 1] - y0)[..., None]
    h, w, _ = image.shape

    def at(y, x):
        inside = ((x >= 0) & (x < w) & (y >= 0) & (y < h))[..., None]
        return image[y.clip(0, h - 1), x.clip(0, w - 1)] * inside

    top = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    bottom = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    return np.rint(top * (1 - fy) + bottom * fy).astype(np.uint8)


def main():
    out = {}
    # MTCNN
    mtcnn = MTCNN(keep_all=True)
    nets = {n: fill(getattr(mtcnn, n), 10 + i) for i, n in enumerate(["pnet", "rnet", "onet"])}
    cases = []
    # Networks that were never trained are sure of nothing: low thresholds, so that all stages have work.
    for width, height, seed, threshold in [(64, 48, 5, 0.3), (41, 90, 6, 0.2), (120, 100, 7, 0.3), (90, 80, 9, 0.6)]:
        mtcnn.thresholds = [threshold] * 3
        boxes, probabilities, points = mtcnn.detect(Image.fromarray(picture(width, height, seed)), landmarks=True)
        found = 0 if boxes is None else len(boxes)
        boxes, probabilities, points = (boxes, probabilities, points) if found else ([], [], [])
        cases.append({
            "width": width, "height": height, "seed": seed, "threshold": threshold, "boxes": numbers(boxes), "probabilities": numbers(probabilities),
            "landmarks": numbers(points),
        })
        print("MTCNN", width, height, found, "faces")
    out["mtcnn"] = {"weights": nets, "seeds": {"pnet": 10, "rnet": 11, "onet": 12}, "cases": cases}
    # extract_face
    image = picture(150, 130, 8)
    crops = []
    for box, size, margin in [([20.3, 30.7, 90.2, 110.9], 160, 0), ([-5.5, 3.2, 60.1, 140.3], 160, 14), ([70.0, 10.0, 149.9, 60.2], 80, 20)]:
        face = extract_face(Image.fromarray(image), np.float32(box), size, margin)
        crops.append({"box": box, "side": size, "margin": margin, "every_16th": numbers(face.permute(1, 2, 0).numpy().flatten()[::16])})
    out["crop"] = {"width": 150, "height": 130, "seed": 8, "cases": crops}
    # alignment
    landmarks = [[50.2, 40.1], [84.9, 48.3], [63.0, 66.2], [43.9, 80.8], [73.6, 88.4]]
    turned = align(image, landmarks)
    out["alignment"] = {"landmarks": landmarks, "every_7th": numbers(turned.flatten()[::7])}
    # FaceNet
    net = InceptionResnetV1(pretrained=None).eval()
    rows = fill(net, 20)
    faces = [picture(160, 160, 30), picture(160, 160, 31)]
    x = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        out["facenet"] = {"weights": rows, "seed": 20, "pictures": [30, 31], "embeddings": numbers(net((x - 127.5) / 128))}
    # ArcFace
    net = IResNet([2, 2, 2, 2]).eval()
    rows = fill(net, 40)
    faces = [picture(112, 112, 50), picture(112, 112, 51)]
    x = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        y = nn.functional.normalize(net((x - 127.5) / 127.5))
    out["arcface"] = {"weights": rows, "seed": 40, "pictures": [50, 51], "embeddings": numbers(y)}
    path = HERE / "faces.json"
    path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
    print(path.stat().st_size, "bytes")


main()
