#!/usr/bin/env python3
"""Faces that `likeness faces` finds with facenet-pytorch's own weights, beside those that facenet-pytorch finds. Optional: it
needs PyTorch and pictures with faces; scikit-image brings one.

    python3 -m venv venv && venv/bin/pip install torch torchvision pillow numpy requests tqdm scikit-image \
        && venv/bin/pip install --no-deps facenet-pytorch
    swift build -c release --product likeness
    venv/bin/python Tests/Parity/faces.py [PICTURE …]
"""
import json, os, pathlib, subprocess, sys, tempfile, warnings
import numpy as np
from PIL import Image
import facenet_pytorch

warnings.filterwarnings("ignore")
data = pathlib.Path(facenet_pytorch.__file__).parent / "data"
likeness = os.environ.get("LIKENESS", ".build/release/likeness")

with tempfile.TemporaryDirectory() as folder:
    files = [pathlib.Path(p) for p in sys.argv[1:]]
    if not files:
        from skimage.data import astronaut
        image = Image.fromarray(astronaut())
        files = [pathlib.Path(folder) / n for n in ["whole.png", "small.png", "turned.png", "two.png", "none.png"]]
        image.save(files[0])
        image.resize((200, 230)).save(files[1])
        image.rotate(15).save(files[2])
        two = Image.new("RGB", (900, 512))
        two.paste(image, (0, 0))
        two.paste(image.resize((380, 380)), (515, 60))
        two.save(files[3])
        image.crop((300, 250, 512, 512)).save(files[4])
    lines = subprocess.run([likeness, "faces", "--mtcnn", str(data), "--json", *map(str, files)], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    mtcnn = facenet_pytorch.MTCNN(keep_all=True)
    failed = False
    for file, line in zip(files, lines):
        got = json.loads(line)["faces"]
        boxes, probabilities, points = mtcnn.detect(Image.open(file).convert("RGB"), landmarks=True)
        count = 0 if boxes is None else len(boxes)
        far = 0.0
        for face, box, point in zip(got, boxes if count else [], points if count else []):
            far = max(far, np.abs(np.array(face["box"]) - box.astype(float)).max(),
                      np.abs(np.array(face["landmarks"]) - point.astype(float)).max())
        failed |= len(got) != count or far > 0.05
        print(f"{file.name}: {len(got)} faces, facenet-pytorch {count}; edges and landmarks differ by {far:.4f} pixels at most; "
              f"first {np.round(got[0]['box'], 1).tolist() if got else '-'}")
raise SystemExit(int(failed))
