"""Writes what stands beside it: what diffusers draws for requests of every kind, with a tiny model of formula weights.

Optional; the tests read the files that are here. To make them again, in a private venv:

    python3 -m venv venv && venv/bin/pip install torch diffusers transformers peft safetensors pillow
    venv/bin/python make.py

Every weight is a number of its name and place (`formula`), which RequestModel.swift computes as well, so that no weights are
stored. Noise is Philox 4x32-10 through Box-Muller, as Shared/TensorEngine/Philox.swift draws it. Everything is made by
diffusers' own pipelines, loaders and schedulers, in float32.
"""
import contextlib
import copy
import functools
import json
import os

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from safetensors.torch import save_file

import diffusers as d
from diffusers.models.autoencoders import vae as vae_module
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as img2img_module
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint as inpaint_module
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance
from diffusers.schedulers import scheduling_euler_ancestral_discrete, scheduling_lcm
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.set_grad_enabled(False)
torch.set_num_threads(1)
WIDTH, HEIGHT, CROSS, EMBED, TOKENS = 104, 72, 32, 16, 4
U64 = (1 << 64) - 1


# ---- numbers -------------------------------------------------------------------------------------
def formula(name, shape):
    """Uniform numbers by FNV-1a of the name and splitmix64 of the place."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & U64
    count = int(np.prod(shape)) if shape else 1
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    v = (z >> np.uint64(40)).astype(np.float64) / (1 << 24) * 2 - 1
    if len(shape) <= 1:
        v = (1 if name.endswith("weight") else 0) + 0.1 * v
    elif "embedding.weight" in name:
        v = 0.5 * v
    else:
        v = v * np.sqrt(3.0 / np.prod(shape[1:]))
    return torch.from_numpy(v.astype(np.float32)).reshape(shape)


def filled(module, prefix=""):
    for name, p in module.named_parameters():
        p.data = formula(prefix + name, tuple(p.shape))
    return module.eval()


def philox(seed, stream, shape):
    count = int(np.prod(shape))
    n = np.arange((count + 3) // 4, dtype=np.uint64)
    mask, s = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [n & mask, n >> s, np.full_like(n, stream & 0xFFFFFFFF), np.full_like(n, stream >> 32)]
    k = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> s) ^ c[1] ^ k[0], b & mask, (a >> s) ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + np.uint64(0x9E3779B9)) & mask, (k[1] + np.uint64(0xBB67AE85)) & mask]
    u = [(x.astype(np.float64) + 0.5) * 2.0**-32 for x in c]
    r1, r2 = np.sqrt(-2 * np.log(u[0])), np.sqrt(-2 * np.log(u[2]))
    z = np.stack([r1 * np.cos(2 * np.pi * u[1]), r1 * np.sin(2 * np.pi * u[1]),
                  r2 * np.cos(2 * np.pi * u[3]), r2 * np.sin(2 * np.pi * u[3])], 1).reshape(-1)[:count]
    return torch.from_numpy(z.astype(np.float32)).reshape(shape)


def picture(width=120, height=90):
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return Image.fromarray(((x * 5 + y * 3 * (c + 1) + (x * y) // 7 + 40 * c) % 256).astype(np.uint8))


def mask(width=120, height=90):
    """A soft disc off the centre."""
    y, x = np.mgrid[0:height, 0:width]
    far = (x - 50) ** 2 + (y - 40) ** 2
    return Image.fromarray(np.clip(255 - far // 8, 0, 255).astype(np.uint8)).convert("RGB")


# ---- the model -----------------------------------------------------------------------------------
UNET = dict(sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=[16, 24, 32],
            down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
            cross_attention_dim=CROSS, attention_head_dim=4, norm_num_groups=8)
VAE = dict(in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 4,
           up_block_types=["UpDecoderBlock2D"] * 4, block_out_channels=[8, 8, 16, 16], layers_per_block=1,
           latent_channels=4, norm_num_groups=4, sample_size=64, scaling_factor=0.18215)
TEXT = dict(hidden_size=CROSS, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=77, hidden_act="quick_gelu")
SCHEDULER = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
                 set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, clip_sample=False)
VISION = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16,
              patch_size=8, hidden_act="quick_gelu", projection_dim=12)

letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [",", "<", ">", "-"]
merges = [("p", "h"), ("ph", "o"), ("pho", "t"), ("phot", "o</w>"), ("o", "f</w>"), ("p", "e"), ("pe", "r"), ("per", "s"),
          ("pers", "o"), ("perso", "n</w>"), ("r", "e"), ("re", "d</w>"), ("h", "a"), ("ha", "t</w>")]
tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
vocabulary = {t: i for i, t in enumerate(tokens)}
json.dump(vocabulary, open("vocab.json", "w"))
open("merges.txt", "w").write("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")


def tokenizer():
    return CLIPTokenizer(vocab=dict(vocabulary), merges=merges, model_max_length=77)


@functools.cache
def unet(channels=4):
    model = filled(d.UNet2DConditionModel(**{**UNET, "in_channels": channels}))
    attentions = [n[: -len(".processor")] for n in model.attn_processors if n.endswith("attn2.processor")]
    state = {"image_proj": {f"proj.{p}": formula(f"image_proj.proj.{p}", s) for p, s in
                            [("weight", (TOKENS * CROSS, EMBED)), ("bias", (TOKENS * CROSS,))]}
             | {f"norm.{p}": formula(f"image_proj.norm.{p}", (CROSS,)) for p in ("weight", "bias")}, "ip_adapter": {}}
    for i, name in enumerate(attentions):
        for kv in "kv":
            key = f"{2 * i + 1}.to_{kv}_ip.weight"
            size = model.get_submodule(name).to_q.out_features
            state["ip_adapter"][key] = formula("ip_adapter." + key, (size, CROSS))
    model._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
    return model.eval()


@functools.cache
def vae():
    return filled(d.AutoencoderKL(**VAE))


@functools.cache
def text():
    config = CLIPTextConfig(**TEXT, vocab_size=len(tokens), bos_token_id=len(tokens) - 2, eos_token_id=len(tokens) - 1,
                            pad_token_id=len(tokens) - 1, attn_implementation="eager")
    model = CLIPTextModel(config)
    prefix = "" if hasattr(model, "text_model") else "text_model."
    return filled(model, prefix)


def pipe(cls, scheduler, channels=4, **over):
    made = cls(
        vae=vae(), text_encoder=copy.deepcopy(text()), tokenizer=tokenizer(), unet=copy.deepcopy(unet(channels)),
        scheduler=scheduler.from_config(d.PNDMScheduler.from_config(dict(SCHEDULER)).config, **over),
        safety_checker=None, feature_extractor=None, image_encoder=None, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    return made


# ---- noise ---------------------------------------------------------------------------------------
SEED = 11


@contextlib.contextmanager
def noise(scheduler, posterior=0):
    """The draws that Likeness makes of one seed: see PicturePipeline. The picture's own sample of the autoencoder is number
    0, the masked picture's is number 1, whether diffusers makes the first or not."""
    posterior = iter(range(posterior, 9))
    def of_vae(shape, **_): return philox(SEED, (1 << 33) + next(posterior), shape)
    def first(shape, **_): return philox(SEED, 0, shape)
    def step(shape, **_): return philox(SEED, scheduler.step_index + 1, shape)
    modules = [(vae_module, of_vae), (img2img_module, first), (inpaint_module, first),
               (scheduling_euler_ancestral_discrete, step), (scheduling_lcm, step)]
    old = [m.randn_tensor for m, _ in modules]
    try:
        for m, f in modules: m.randn_tensor = f
        yield
    finally:
        for (m, _), f in zip(modules, old): m.randn_tensor = f


# ---- cases ---------------------------------------------------------------------------------------
out = {}
embedding = formula("photo", (1, EMBED)) * 2
both = [torch.stack([torch.zeros_like(embedding), embedding])]
PROMPT, NEGATIVE = "a photo of a person, red hat", "a hat"


def scale(p, value):
    """A number, diffusers' own dictionary, or a list in the order of a pass."""
    if not isinstance(value, list):
        return p.set_ip_adapter_scale(value)
    names = [n for n in p.unet.attn_processors if "attn2" in n]
    ordered = [n for part in ("down", "mid", "up") for n in names if n.startswith(part)]
    assert len(ordered) == len(value), ordered
    for name, s in zip(ordered, value):
        p.unet.attn_processors[name].scale = [s]


def draw(name, p, steps=5, guidance=4.0, lam=0.8, prompt=PROMPT, embeds=both, **more):
    scale(p, lam)
    images = embeds if guidance > 1 else [embeds[0][1:]]
    # A UNet that reads the mask needs the picture itself only to start from.
    unseen = p.unet.config.in_channels == 9 and more.get("strength") == 1.0
    with noise(p.scheduler, 1 if unseen else 0):
        latents = {} if "image" in more else dict(latents=philox(SEED, 0, (1, 4, HEIGHT // 8, WIDTH // 8)))
        size = {} if isinstance(p, d.StableDiffusionImg2ImgPipeline) else dict(height=HEIGHT, width=WIDTH)
        out[name] = p(prompt=prompt, negative_prompt=NEGATIVE, num_inference_steps=steps, guidance_scale=guidance,
                      ip_adapter_image_embeds=images, output_type="latent", **size, **latents, **more).images
    assert out[name].isfinite().all() and out[name].shape == (1, 4, HEIGHT // 8, WIDTH // 8), (name, out[name].shape)


T2I, I2I, FILL = d.StableDiffusionPipeline, d.StableDiffusionImg2ImgPipeline, d.StableDiffusionInpaintPipeline
SCHEDULERS = {
    "ddim": (d.DDIMScheduler, {}), "euler": (d.EulerDiscreteScheduler, {}),
    "dpmpp_2m": (d.DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_karras": (d.DPMSolverMultistepScheduler, dict(use_karras_sigmas=True)),
    "pndm": (d.PNDMScheduler, {}), "heun": (d.HeunDiscreteScheduler, {}), "unipc": (d.UniPCMultistepScheduler, {}),
    "euler_ancestral": (d.EulerAncestralDiscreteScheduler, {}), "lcm": (d.LCMScheduler, {})}


def make(cls, name, channels=4):
    scheduler, over = SCHEDULERS[name]
    return pipe(cls, scheduler, channels, **over)


# 1. lambda by layer and by step
draw("plain", make(T2I, "ddim"))
draw("scales_blocks", make(T2I, "ddim"),
     lam={"down": {"block_1": 0.9}, "mid": 0.4, "up": {"block_1": [0.0, 1.0], "block_2": 0.3}})
draw("scales_list", make(T2I, "ddim"), lam=[0.1, 0.9, 0.5, 1.0, 0.0, 0.7, 0.2])


def only_between(start, end, steps, lam):
    def active(i): return start <= i / steps and (i + 1) / steps <= end
    def after(p, i, t, kwargs):
        p.set_ip_adapter_scale(lam if active(i + 1) else 0.0)
        return kwargs
    return (lam if active(0) else 0.0), after


first, after = only_between(0.2, 0.7, 6, 0.8)
draw("range", make(T2I, "euler"), steps=6, lam=first, callback_on_step_end=after)

# 2. image to image, inpainting
resized = picture().resize((WIDTH, HEIGHT), Image.LANCZOS)
for name in SCHEDULERS:
    draw("img2img_" + name, make(I2I, name), steps=7, image=resized, strength=0.6)
draw("img2img_whole", make(I2I, "euler"), steps=4, image=resized, strength=1.0)
for name in ("ddim", "euler", "dpmpp_2m", "dpmpp_2m_karras", "heun"):
    draw("inpaint_" + name, make(FILL, name), steps=7, image=picture(), mask_image=mask(), strength=0.6)
draw("inpaint_whole", make(FILL, "euler"), image=picture(), mask_image=mask(), strength=1.0)
draw("inpaint_9", make(FILL, "ddim", channels=9), image=picture(), mask_image=mask(), strength=1.0)
draw("inpaint_9_part", make(FILL, "dpmpp_2m", channels=9), steps=7, image=picture(), mask_image=mask(), strength=0.6)

# 3. clip skip, LoRA, textual inversion
p = make(T2I, "ddim")
if not hasattr(p.text_encoder, "text_model"):  # transformers 5 has no such level any more, diffusers still asks for it
    type(p.text_encoder).text_model = property(lambda self: self)
draw("clip_skip", p, clip_skip=1)
if isinstance(getattr(type(p.text_encoder), "text_model", None), property): del type(p.text_encoder).text_model


def lora(naming, tag):
    """Changes of every attention projection of UNet and text tower, and of one convolution."""
    file, rank = {}, 2
    models = [("lora_unet_", "unet.", unet(), ("to_q", "to_k", "to_v", "to_out.0")),
              ("lora_te_", "text_encoder.", text(), ("q_proj", "k_proj", "v_proj", "out_proj"))]
    for kohya, peft, model, ends in models:
        for n, m in model.named_modules():
            if not (n.endswith(ends) and isinstance(m, torch.nn.Linear)) or "_ip" in n: continue
            if kohya == "lora_te_" and not n.startswith("text_model."): n = "text_model." + n
            o, i = m.weight.shape
            down, up = formula(f"{tag}.down.{n}", (rank, i)), formula(f"{tag}.up.{n}", (o, rank)) * 0.4
            if naming == "kohya":
                k = kohya + n.replace(".", "_")
                file |= {k + ".lora_down.weight": down, k + ".lora_up.weight": up, k + ".alpha": torch.tensor(1.5)}
            else:
                file |= {f"{peft}{n}.lora_A.weight": down, f"{peft}{n}.lora_B.weight": up}
    save_file(file, f"{tag}.safetensors")


lora("kohya", "lora_a")
lora("peft", "lora_b")


# peft's own configuration in the file: its alpha is not the rank.
own = {k: v for k, v in safetensors.torch.load_file("lora_b.safetensors").items() if k.startswith("unet.") and "attn2.to_q" in k}
save_file(own, "lora_c.safetensors", metadata={"format": "pt", "lora_adapter_metadata": json.dumps(
    {"unet.r": 2, "unet.lora_alpha": 5, "unet.lora_dropout": 0.0, "unet.target_modules": ["attn2.to_q"], "unet.peft_type": "LORA"})})


# peft's other scales: the root of the rank, an alpha of one module's own, a rank of another's own.
modules = sorted(k[len("unet."):-len(".lora_A.weight")] for k in own if k.endswith("lora_A.weight"))
wide, o, i = modules[-1], *unet().get_submodule(modules[-1]).weight.shape
patterns = own | {f"unet.{wide}.lora_A.weight": formula("lora_d.down", (4, i)), f"unet.{wide}.lora_B.weight": formula("lora_d.up", (o, 4))}
save_file(patterns, "lora_d.safetensors", metadata={"format": "pt", "lora_adapter_metadata": json.dumps(
    {"unet.r": 2, "unet.lora_alpha": 3, "unet.lora_dropout": 0.0, "unet.target_modules": ["attn2.to_q"], "unet.peft_type": "LORA",
     "unet.use_rslora": True, "unet.alpha_pattern": {modules[0]: 0.5}, "unet.rank_pattern": {wide: 4}})})


def with_loras(p, **weights):
    for name in weights: p.load_lora_weights(".", weight_name=f"{name}.safetensors", adapter_name=name)
    p.set_adapters(list(weights), list(weights.values()))
    return p


draw("lora_one", with_loras(make(T2I, "ddim"), lora_a=0.7))
draw("lora_two", with_loras(make(T2I, "ddim"), lora_a=0.7, lora_b=-0.4))
draw("lora_metadata", with_loras(make(T2I, "ddim"), lora_c=0.9))
draw("lora_patterns", with_loras(make(T2I, "ddim"), lora_d=0.8))
draw("lcm_lora", with_loras(make(T2I, "lcm"), lora_b=1.0), steps=4, guidance=1.0)
draw("lcm_lora_img2img", with_loras(make(I2I, "lcm"), lora_b=1.0), steps=6, guidance=1.0, image=resized, strength=0.7)

words = {"one": formula("word.one", (1, CROSS)), "many": formula("word.many", (3, CROSS)), "third": formula("word.third", (2, CROSS))}
save_file({"<tuft>": words["one"][0].clone()}, "tuft-file.safetensors")
save_file({"emb_params": words["many"]}, "many.safetensors")
torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(words["third"])}, "name": "third",
            "step": 100, "sd_checkpoint": None}, "third.pt")
p = make(T2I, "ddim")
p.load_textual_inversion(".", weight_name="tuft-file.safetensors")
p.load_textual_inversion(".", weight_name="many.safetensors", token="many")
p.load_textual_inversion(".", weight_name="third.pt", token="third")
INVERTED = "a photo of <tuft>, many red third hat"
draw("inversion", p, prompt=INVERTED)

# 4. FaceID
FACE, RANK = 24, 2


def faceid():
    """h94's two groups; the numbers count all attentions in the order of processors."""
    project = {"proj.0.weight": (2 * FACE, FACE), "proj.0.bias": (2 * FACE,), "proj.2.weight": (TOKENS * CROSS, 2 * FACE),
               "proj.2.bias": (TOKENS * CROSS,), "norm.weight": (CROSS,), "norm.bias": (CROSS,)}
    layers = {}
    for n, name in enumerate(unet().attn_processors):
        attention = unet().get_submodule(name[: -len(".processor")])
        for part, linear in (("q", attention.to_q), ("k", attention.to_k), ("v", attention.to_v), ("out", attention.to_out[0])):
            layers[f"{n}.to_{part}_lora.down.weight"] = (RANK, linear.in_features)
            layers[f"{n}.to_{part}_lora.up.weight"] = (linear.out_features, RANK)
        if "attn2" in name:
            for kv in "kv": layers[f"{n}.to_{kv}_ip.weight"] = (attention.to_q.out_features, CROSS)
    def numbers(group, shapes):
        return {k: formula(f"faceid.{group}.{k}", s) * (0.4 if k.endswith("up.weight") else 1) for k, s in shapes.items()}
    return {"image_proj": numbers("image_proj", project), "ip_adapter": numbers("ip_adapter", layers)}


state = faceid()
torch.save(state, "faceid.bin")
save_file({f"{group}.{k}": v for group, part in state.items() for k, v in part.items()}, "faceid.safetensors")
# The LoRA alone, as h94 publishes it too for other programs.
names = [n[: -len(".processor")] for n in unet().attn_processors]
alone = {}
for k, v in state["ip_adapter"].items():
    if "_lora." not in k: continue
    n, part, half, _ = k.split(".")
    module = f"{names[int(n)]}.{part[: -len('_lora')]}" + (".0" if "out" in part else "")
    alone[f"lora_unet_{module.replace('.', '_')}.lora_{half}.weight"] = v
save_file(alone, "faceid-lora.safetensors")


def with_face():
    p = make(T2I, "ddim")
    p.load_ip_adapter(".", subfolder="", weight_name="faceid.safetensors", image_encoder_folder=None)
    return p


faces = torch.stack([formula(f"face.{i}", (FACE,)) for i in range(3)])
faces = faces / faces.norm(dim=1, keepdim=True)


def face(embedding): return [torch.stack([torch.zeros(1, FACE), embedding[None]])]


p = with_face()
draw("faceid", p, embeds=face(faces[0]))
save_file({k: v.contiguous() for k, v in p.unet.state_dict().items()
           if k.startswith("encoder_hid_proj") or "_ip." in k or ".lora_" in k}, "faceid-diffusers.safetensors")
draw("faceid_max", p, embeds=face(faces.amax(0)))
draw("faceid_avg", p, embeds=face(faces.mean(0)))
p.load_lora_weights(".", weight_name="lora_a.safetensors", adapter_name="lora_a")
p.set_adapters(["faceid_0", "lora_a"], [1.0, 0.7])
draw("faceid_and_lora", p, embeds=face(faces[0]))

# 5. safety checker
config = CLIPConfig(vision_config={k: v for k, v in VISION.items() if k != "projection_dim"}, projection_dim=VISION["projection_dim"])
checker = StableDiffusionSafetyChecker(config)
for name, p in checker.named_parameters():
    if "concept" not in name and "care" not in name: p.data = formula(name, tuple(p.shape))
state = checker.state_dict()
pictures = [picture(), mask(), Image.new("RGB", (40, 50), (200, 30, 60))]
process = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
seen = process(pictures, return_tensors="pt").pixel_values
embeds = checker.visual_projection(checker.vision_model(seen)[1])
cosines = {}
for name, count in (("concept_embeds", 17), ("special_care_embeds", 3)):
    getattr(checker, name).data = formula(name, (count, VISION["projection_dim"]))
    cosines[name] = cosine_distance(embeds, getattr(checker, name))
    getattr(checker, name + "_weights").data = cosines[name].max(0).values + 0.05
# One picture is flagged by a concept, another only because a special one makes the others stricter, the third by nothing.
concept, special = cosines["concept_embeds"], cosines["special_care_embeds"]
one = int(concept[:, 0].argmax())
checker.concept_embeds_weights.data[0] = concept[:, 0].sort().values[1:].mean()
hit, two = next((k, int(special[:, k].argmax())) for k in range(3) if int(special[:, k].argmax()) != one)
checker.special_care_embeds_weights.data[hit] = special[:, hit].sort().values[1:].mean()
near = next(k for k in range(1, 17) if int(concept[:, k].argmax()) == two)
checker.concept_embeds_weights.data[near] = concept[two, near] + 0.005
images, flagged = checker(images=[np.ones((4, 4, 3)) for _ in pictures], clip_input=seen)
scores = []
for e in embeds:
    special = cosine_distance(e[None], checker.special_care_embeds)[0] - checker.special_care_embeds_weights
    adjustment = 0.01 if any(round(float(s), 3) > 0 for s in special) else 0.0
    scores.append(cosine_distance(e[None], checker.concept_embeds)[0] - checker.concept_embeds_weights + adjustment)
out["safety_scores"], out["safety_flags"] = torch.stack(scores), torch.tensor([float(f) for f in flagged])
keep = {k: v for k, v in checker.state_dict().items() if not k.endswith("position_ids")}
save_file({k: v.contiguous() for k, v in keep.items()}, "safety.safetensors")
json.dump({"vision_config": {k: v for k, v in VISION.items() if k != "projection_dim"}, "projection_dim": VISION["projection_dim"]},
          open("safety.json", "w"))
print("flagged", flagged, sorted(keep)[:3])

save_file({k: v.contiguous() for k, v in out.items()}, "latents.safetensors",
          metadata={"diffusers": d.__version__, "torch": torch.__version__.split("+")[0], "seed": str(SEED)})
for k, v in out.items(): print(k, tuple(v.shape), float(v.std()))
