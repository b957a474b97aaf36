"""Every way to caption by the name it has on the command line and in the C3 paper's tables."""

from isthmus.decode.connection import Method

_C3 = 'Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024'
_WS = (
    'Tam, Raffel and Bansal, "Simple Weakly-Supervised Image Captioning via CLIP\'s Multimodal Embeddings",'
    " 2023"
)
_DECAP = (
    'Li et al., "DeCap: Decoding CLIP Latents for Zero-Shot Captioning via Text-Only Training", ICLR 2023'
)
_MAGIC = 'Su et al., "Language Models Can See: Plugging Visual Controls in Text Generation", 2022'

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("C1", collapse=False, noise=None, source=f"{_C3}, Table 2: connect"),
        Method("C2-collapse", collapse=True, noise=None, source=f"{_C3}, Table 2: C2 with collapse"),
        Method("C2-corrupt", collapse=False, noise="gaussian", source=f"{_C3}, Table 2: C2 with corrupt"),
        Method("C2-span", collapse=False, noise="span", source=f"{_C3}, Appendix H and Table 7"),
        Method("C3", collapse=True, noise="gaussian", source=f"{_C3}, Algorithm 1"),
        Method("C3-calibrated", collapse=True, noise="calibrated", source=f"Ours; {_C3}, Proposition 1"),
        Method(
            "CapDec",
            collapse=False,
            noise="capdec",
            source='Nukrai, Mokady and Globerson, "Text-Only Training for Image Captioning using'
            ' Noise-Injected CLIP", Findings of EMNLP 2022, section 3',
        ),
        Method(
            "DeCap",
            collapse=False,
            noise=None,
            writes="projection",
            source=f"{_DECAP}: projection-based decoding",
        ),
        Method(
            "CLIPRe", collapse=False, noise=None, writes="nearest", source=f"{_MAGIC}; a baseline in {_DECAP}"
        ),
        Method("WS-ClipCap", collapse=False, noise=None, learns_from="other-text", other="next", source=_WS),
        Method("WS-ClipCap-Multi", collapse=False, noise=None, learns_from="other-text", source=_WS),
        Method(
            "ClipCap",
            collapse=False,
            noise=None,
            learns_from="pairs",
            source='Mokady, Hertz and Bermano, "ClipCap: CLIP Prefix for Image Captioning", 2021',
        ),
        Method(
            "ZeroCap",
            collapse=False,
            noise=None,
            writes="zerocap",
            source='Tewel et al., "ZeroCap: Zero-Shot Image-to-Text Generation for Visual-Semantic'
            ' Arithmetic", CVPR 2022',
        ),
        Method(
            "MAGIC",
            collapse=False,
            noise=None,
            writes="magic",
            source=_MAGIC,
        ),
    )
}
