"""Likeness beside diffusers on the same random checkpoints: final latents and pictures, in all layouts, by all methods.

    python3 -m venv /tmp/parity-venv
    /tmp/parity-venv/bin/pip install torch diffusers transformers safetensors pillow numpy
    swift build -c release --product likeness
    /tmp/parity-venv/bin/python Tests/Parity/parity.py --tiny            # everything with small models, minutes
    /tmp/parity-venv/bin/python Tests/Parity/parity.py                   # full size: 13 GB of disk, 10 GB of memory

Optional: nothing else needs Python. --bpe names a folder with CLIP's own vocab.json and merges.txt (the tokenizer of
Stable Diffusion 1.5; ../shared/goldens/clip_tokenizer has them). Nothing is downloaded.

Routes: text alone, DreamBooth (a UNet with changed weights), IP-Adapter from one photo, with max and mean pooling and with
self-attention over nine photos. Both sides get the same files, photos, starting noise and sampler. diffusers encodes the
photos with its own code; pooling and self-attention are torch, by the equations of shared/goldens/aggregation, and go in
as `ip_adapter_image_embeds`. A case passes with a relative RMS of the latents of at most 1e-3 and a PSNR of the pictures of
at least 45 dB. So that equal pictures mean something, each method's latents must also differ from those of text alone by
thirty times as much.

At full size the ten steps run once for each route, one of them at 512x512 and the others at 256x256, and each layout is
loaded once and takes two steps; so does each kind of adapter if it is asked for (--only adapters). Tiny runs also take
every deterministic sampler and other scheduler_config.json files.
"""
import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import time

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import checkpoints

PROMPT, NEGATIVE = "a photo of a sks person, smiling", "blurry, low quality"
GUIDANCE, SCALE = 5.0, 0.8
LIMIT_RMS, LIMIT_PSNR = 1e-3, 45.0
ROUTES = {
    "ip-adapter": lambda x, _: x[:, :1], "ip-adapter-max": lambda x, _: x.amax(1, keepdim=True),
    "ip-adapter-avg": lambda x, _: x.mean(1, keepdim=True), "ip-adapter-self-attention": lambda x, attend: attend(x)}
SAMPLERS = {
    "ddim": ("DDIMScheduler", {}), "pndm": ("PNDMScheduler", {}), "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}), "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {})}
# Schedulers as fine-tunes have them, taken from the folder's file by both sides.
SCHEDULER_FILES = {
    "v_prediction, trailing": {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction",
                               "timestep_spacing": "trailing"},
    "Euler, linspace": {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "linspace"},
    "DPM++ Karras": {"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True,
                     "algorithm_type": "dpmsolver++", "solver_order": 2},
    "v_prediction, Euler": {"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction"}}


class Reference:
    """diffusers' pipeline."""

    def __init__(self, folder, scheduler=None):
        import diffusers
        from transformers import CLIPTokenizer
        self.pipe = diffusers.StableDiffusionPipeline.from_pretrained(
            folder, torch_dtype=torch.float32, safety_checker=None, feature_extractor=None, image_encoder=None,
            tokenizer=CLIPTokenizer.from_pretrained(os.path.join(folder, "tokenizer")))
        self.pipe.set_progress_bar_config(disable=True)
        if scheduler:
            name, options = SAMPLERS[scheduler]
            self.pipe.scheduler = getattr(diffusers, name).from_config(self.pipe.scheduler.config, **options)

    def load_adapter(self, folder, name):
        """The adapter, and the vision tower if there is none yet."""
        from transformers import CLIPVisionModelWithProjection
        try:
            from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Processor
        except ImportError:  # before transformers 5, the only one
            from transformers import CLIPImageProcessor as Processor
        if self.pipe.image_encoder is None:
            encoder = CLIPVisionModelWithProjection.from_pretrained(os.path.join(folder, "image_encoder")).eval()
            side = encoder.config.image_size
            self.pipe.register_modules(image_encoder=encoder, feature_extractor=Processor(
                size={"shortest_edge": side}, crop_size={"height": side, "width": side}))
        self.pipe.load_ip_adapter(folder, subfolder="", weight_name=name, image_encoder_folder=None)
        self.pipe.set_ip_adapter_scale(SCALE)

    def embeddings(self, photos):
        """[2, photos, ...]: row 0 stands for no photo."""
        with torch.no_grad():
            each = [self.pipe.prepare_ip_adapter_image_embeds([Image.open(p)], None, "cpu", 1, True)[0] for p in photos]
        return torch.cat(each, dim=1)

    def draw(self, noise, steps, embeddings=None):
        """Final latents and picture."""
        start = time.time()
        self.pipe.scheduler.set_timesteps(steps)
        latents = self.pipe(
            PROMPT, negative_prompt=NEGATIVE, latents=noise.clone(), num_inference_steps=steps, guidance_scale=GUIDANCE,
            ip_adapter_image_embeds=None if embeddings is None else [embeddings], output_type="latent",
            height=noise.shape[2] * 8, width=noise.shape[3] * 8).images
        sampled = time.time() - start
        with torch.no_grad():
            image = self.pipe.vae.decode(latents / self.pipe.vae.config.scaling_factor).sample
        picture = self.pipe.image_processor.postprocess(image, output_type="pil")[0]
        return latents, numpy.asarray(picture), sampled


class Likeness:
    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        self.last = ""

    def draw(self, models, adapter, noise, steps, photos=(), method=None, weights=None, scheduler=None):
        paths = {k: os.path.join(self.work, k) for k in ("noise.safetensors", "latents.safetensors", "picture.png")}
        save_file({"latents": noise}, paths["noise.safetensors"])
        command = [
            self.binary, "model", "draw", "--models", models, "--ip-adapter", adapter, "--prompt", PROMPT,
            "--negative-prompt", NEGATIVE, "--guidance", str(GUIDANCE), "--scale", str(SCALE), "--steps", str(steps),
            "--noise", paths["noise.safetensors"], "--latents-out", paths["latents.safetensors"],
            "--out", paths["picture.png"]]
        for photo in photos:
            command += ["--photo", photo]
        for option, value in (("--method", method), ("--weights", weights), ("--scheduler", scheduler)):
            command += [option, value] if value else []
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        self.last = done.stdout.strip().split("; ", 1)[1]
        return load_file(paths["latents.safetensors"])["latents"], numpy.asarray(Image.open(paths["picture.png"]))


class Report:
    def __init__(self, path):
        self.path, self.cases, self.start = path, [], time.time()
        print("| case | latents: relative RMS | picture: PSNR dB | | Likeness |\n|---|---|---|---|---|", flush=True)

    def compare(self, name, want, got, note=""):
        rms, psnr = distance(got[0], want[0]), peak_signal(got[1], want[1])
        passed = rms <= LIMIT_RMS and psnr >= LIMIT_PSNR
        self.add(name, passed, f"{rms:.1e}", "equal" if psnr == float("inf") else f"{psnr:.1f}", note)

    def equal(self, name, want, got, note=""):
        passed = torch.equal(want[0], got[0]) and (want[1] == got[1]).all()
        self.add(name, bool(passed), "same bits" if passed else f"{distance(got[0], want[0]):.1e}", "", note)

    def differs(self, name, one, other):
        rms = distance(one[0], other[0])
        self.add(name, rms >= 30 * LIMIT_RMS, f"{rms:.1e}", "", "must differ")

    def add(self, name, passed, rms, psnr, note):
        self.cases.append({"case": name, "passed": passed, "rms": rms, "psnr": psnr, "note": note})
        print(f"| {name} | {rms} | {psnr} | {'passes' if passed else 'FAILS'} | {note} |", flush=True)
        with open(self.path, "w") as file:
            json.dump(self.cases, file, indent=1)

    def end(self):
        failed = [c["case"] for c in self.cases if not c["passed"]]
        print(f"\n{len(self.cases) - len(failed)} of {len(self.cases)} pass, {time.time() - self.start:.0f} s")
        sys.exit(1 if failed else 0)


def distance(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def peak_signal(a, b):
    if a.shape != b.shape:
        return 0.0
    error = ((a.astype(float) - b.astype(float)) ** 2).mean()
    return float("inf") if error == 0 else float(10 * numpy.log10(255 ** 2 / error))


def write_photos(folder):
    """Nine photos of different sizes, some larger and some smaller than what the tower sees."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for i in range(9):
        random = numpy.random.RandomState(i)
        height, width = random.randint(180, 400, 2)
        y, x = numpy.mgrid[0:height, 0:width] / 40
        waves = [random.uniform(40, 127) * numpy.sin(random.uniform(-2, 2) * x + random.uniform(-2, 2) * y + c * i)
                 for c in range(3)]
        image = numpy.stack(waves, -1) + random.uniform(60, 190, 3) + random.uniform(-20, 20, (height, width, 3))
        paths.append(os.path.join(folder, f"photo-{i}.png"))
        Image.fromarray(numpy.clip(image, 0, 255).astype(numpy.uint8)).save(paths[-1])
    return paths


def write_faces(photos):
    """A face embedding beside each photo, in every form that Likeness reads; [2, photos, 512], row 0 for no face."""
    faces = torch.nn.functional.normalize(
        torch.randn(len(photos), checkpoints.FACE, generator=torch.Generator().manual_seed(9)))
    for i, photo in enumerate(photos):
        path = photo.removesuffix(".png") + ".face."
        if i % 3 == 0:
            numpy.save(path + "npy", faces[i].numpy())
        elif i % 3 == 1:
            with open(path + "json", "w") as file:
                json.dump(faces[i].tolist(), file)
        else:
            save_file({"embedding": faces[i].clone()}, path + "safetensors")
    return torch.stack([torch.zeros_like(faces), faces])


def start_noise(side, seed=7):
    return torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(seed))


def seconds(reference):
    return f"diffusers {reference:.1f} s to sample"


def routes(args, report, likeness, photos):
    """Every method, with one layout."""
    work = args.work
    models = checkpoints.write_models(os.path.join(work, "f32"), "f32", args.tiny, args.bpe)
    adapters = os.path.join(work, "IP-Adapter", "models")
    checkpoints.write_adapters(adapters, args.tiny, ["ip-adapter_sd15"], "safetensors")
    adapter = os.path.join(adapters, "ip-adapter_sd15.safetensors")
    side = args.side // 8
    sides = {"ip-adapter-self-attention": args.large // 8}
    scheduler = "dpmpp_2m"

    reference = Reference(models, scheduler)
    plain = reference.draw(start_noise(side), args.steps)
    got = likeness.draw(models, adapter, start_noise(side), args.steps, scheduler=scheduler)
    report.compare(f"text alone, {side * 8}x{side * 8}", plain, got, f"{likeness.last}; {seconds(plain[2])}")

    original = {k: v.clone() for k, v in reference.pipe.unet.state_dict().items()} if args.tiny else None
    tuned = checkpoints.tuned_unet(args.tiny).state_dict()
    weights = os.path.join(work, "dreambooth.safetensors")
    save_file({k: v.half() for k, v in tuned.items()}, weights)
    reference.pipe.unet.load_state_dict(tuned)
    del tuned
    want = reference.draw(start_noise(side), args.steps)
    got = likeness.draw(models, adapter, start_noise(side), args.steps, weights=weights, scheduler=scheduler)
    report.compare(f"DreamBooth, {side * 8}x{side * 8}", want, got, f"{likeness.last}; {seconds(want[2])}")
    report.differs("DreamBooth beside text alone", want, plain)
    os.remove(weights)
    if args.tiny:
        reference.pipe.unet.load_state_dict(original)
    else:
        reference = None
        gc.collect()
        reference = Reference(models, scheduler)

    reference.load_adapter(adapters, "ip-adapter_sd15.safetensors")
    each = reference.embeddings(photos)
    reference.pipe.image_encoder = None
    attention = checkpoints.self_attention(args.tiny)
    results = {}
    for method, aggregate in ROUTES.items():
        s = sides.get(method, side)
        with torch.no_grad():
            embeddings = aggregate(each, attention)
        want = reference.draw(start_noise(s), args.steps, embeddings)
        got = likeness.draw(models, adapter, start_noise(s), args.steps, photos, method, scheduler=scheduler)
        report.compare(f"{method}, {s * 8}x{s * 8}", want, got, f"{likeness.last}; {seconds(want[2])}")
        results[method] = want
        if s == side:
            report.differs(f"{method} beside text alone", want, plain)
    report.differs("max beside mean", results["ip-adapter-max"], results["ip-adapter-avg"])
    return models, adapters


def layouts(args, report, likeness, photos, models, adapters):
    """Every layout: those of 16 bits and the first are compared with diffusers, others are the same bits as the first."""
    adapter = os.path.join(adapters, "ip-adapter_sd15.safetensors")
    noise, steps = start_noise(args.side // 8), args.steps if args.tiny else 2
    reference = Reference(models)
    reference.load_adapter(adapters, "ip-adapter_sd15.safetensors")
    want = reference.draw(noise, steps, reference.embeddings(photos[:1]))
    del reference
    first = likeness.draw(models, adapter, noise, steps, photos)
    report.compare("layout f32", want, first, likeness.last)
    for layout in checkpoints.LAYOUTS[1:]:
        folder = os.path.join(args.work, layout)
        path = checkpoints.write_models(folder, layout, args.tiny, args.bpe)
        if layout == "sharded":  # as transformers 5 saves a tokenizer
            from transformers import CLIPTokenizer
            tokenizer = CLIPTokenizer.from_pretrained(os.path.join(folder, "tokenizer"))
            shutil.rmtree(os.path.join(folder, "tokenizer"))
            tokenizer.save_pretrained(os.path.join(folder, "tokenizer"))
            assert not os.path.exists(os.path.join(folder, "tokenizer", "vocab.json"))
        gc.collect()
        drawn = likeness.draw(path, adapter, noise, steps, photos)
        # Small maps of 16-bit weights are convolved by Winograd, so that no widened copy is kept: other roundings.
        if "16" in layout:
            report.compare(f"layout {layout}", want, drawn, likeness.last)
        else:
            report.equal(f"layout {layout}", first, drawn, likeness.last)
        if not args.keep:
            shutil.rmtree(folder)


def adapter_kinds(args, report, likeness, photos, models, adapters):
    """Every kind of adapter, in h94's two formats and under diffusers' names."""
    noise, steps = start_noise(args.side // 8), args.steps if args.tiny else 2
    reference = Reference(models)
    for kind in checkpoints.ADAPTERS:
        checkpoints.write_adapters(adapters, args.tiny, [kind], "safetensors", vision=False)
        checkpoints.write_adapters(adapters, args.tiny, [kind], "bin", vision=False)
        path = os.path.join(adapters, kind)
        others = [".bin", "-diffusers.safetensors"]
        reference.load_adapter(adapters, kind + ".safetensors")
        faces = write_faces(photos) if "faceid" in kind else None
        want = reference.draw(noise, steps, reference.embeddings(photos[:1]) if faces is None else faces[:, :1])
        own = {k: v.contiguous() for k, v in reference.pipe.unet.state_dict().items()
               if k.startswith("encoder_hid_proj") or "_ip." in k or ".lora_" in k}
        save_file(own, path + "-diffusers.safetensors")
        pooled = {}
        if faces is not None:
            for method, aggregate in list(ROUTES.items())[1:3]:
                pooled[method] = reference.draw(noise, steps, aggregate(faces, None))
            others.append("-apart.safetensors")
            processors = reference.pipe.unet.attn_processors
            checkpoints.write_lora_apart(adapters, kind, [n.removesuffix(".processor") for n in processors])
            reference.pipe.unload_lora_weights()
        reference.pipe.unload_ip_adapter()
        reference.pipe.register_modules(image_encoder=None, feature_extractor=None)
        first = likeness.draw(models, path + ".safetensors", noise, steps, photos)
        report.compare(f"{kind}.safetensors", want, first)
        for other in others:
            report.equal(kind + other, first, likeness.draw(models, path + other, noise, steps, photos))
        for method, want in pooled.items():
            got = likeness.draw(models, path + ".safetensors", noise, steps, photos, method)
            report.compare(f"{kind}.safetensors, {method}", want, got)
            report.differs(f"{kind}, {method} beside one photo", want, first)


def samplers(args, report, likeness, models, adapters):
    """Deterministic samplers by name, and from scheduler_config.json."""
    adapter = os.path.join(adapters, "ip-adapter_sd15.safetensors")
    noise = start_noise(args.side // 8)
    for name in SAMPLERS:
        want = Reference(models, name).draw(noise, args.steps)
        report.compare(f"sampler {name}", want, likeness.draw(models, adapter, noise, args.steps, scheduler=name))
    for name, options in SCHEDULER_FILES.items():
        checkpoints.small_parts(models, True, args.bpe, options)
        want = Reference(models).draw(noise, args.steps)
        report.compare(f"file: {name}", want, likeness.draw(models, adapter, noise, args.steps))
    checkpoints.small_parts(models, True, args.bpe)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--likeness", default=".build/release/likeness")
    parser.add_argument("--bpe", default="../shared/goldens/clip_tokenizer")
    parser.add_argument("--work", default="/tmp/likeness-parity")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--side", type=int, help="pixels; 256, or 128 with --tiny")
    parser.add_argument("--large", type=int, help="pixels of the route with self-attention; 512, or 128 with --tiny")
    parser.add_argument("--only", default="routes,layouts,adapters,samplers", help="parts to run, with commas")
    parser.add_argument("--keep", action="store_true", help="keep the files; those of the first layout serve the next run")
    args = parser.parse_args()
    args.side = args.side or (128 if args.tiny else 256)
    args.large = args.large or (128 if args.tiny else 512)
    args.work = os.path.join(os.path.abspath(args.work), "tiny" if args.tiny else "full")
    os.makedirs(args.work, exist_ok=True)
    parts = args.only.split(",")
    photos = write_photos(os.path.join(args.work, "photos"))
    report = Report(os.path.join(args.work, "parity.json"))
    likeness = Likeness(os.path.abspath(args.likeness), args.work)
    models, adapters = os.path.join(args.work, "f32"), os.path.join(args.work, "IP-Adapter", "models")
    if "routes" in parts:
        routes(args, report, likeness, photos)
    if "layouts" in parts:
        layouts(args, report, likeness, photos, models, adapters)
    if "adapters" in parts and (args.tiny or args.only != parser.get_default("only")):
        adapter_kinds(args, report, likeness, photos, models, adapters)
    if "samplers" in parts and args.tiny:
        samplers(args, report, likeness, models, adapters)
    if not args.keep:
        shutil.rmtree(models)
    report.end()


if __name__ == "__main__":
    main()
