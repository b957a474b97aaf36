"""What the two mappers are: two layers with tanh, and a transformer whose constants hold the prefix."""

import pytest

torch = pytest.importorskip("torch", reason="torch is an extra")

from isthmus.decode.mapper import MLPMapper, TransformerMapper  # noqa: E402


def test_mlp_is_two_layers_with_tanh():
    mapper, x = MLPMapper(5, 3, 8), torch.randn(4, 5)
    (w, a), (v, b) = ((layer.weight, layer.bias) for layer in (mapper.layers[0], mapper.layers[2]))
    assert w.shape == (12, 5)
    assert v.shape == (24, 12)
    assert torch.allclose(mapper(x), (torch.tanh(x @ w.T + a) @ v.T + b).view(4, 3, 8), atol=1e-6)


def test_transformer_reads_embedding_and_constants():
    mapper = TransformerMapper(5, 3, 8, layers=2, heads=2).eval()
    x = torch.randn(4, 5, requires_grad=True)
    out = mapper(x)
    assert out.shape == (4, 3, 8)
    assert torch.allclose(mapper(x[1:2])[0], out[1], atol=1e-5), "rows do not mix"
    out[0].square().sum().backward()
    assert mapper.constants.grad.abs().sum() > 0
    assert x.grad[0].abs().sum() > 0
    assert not x.grad[1:].any()
    with torch.no_grad():
        for block in mapper.encoder.layers:  # without attention and feed-forward the constants come out
            for weight in (block.self_attn.out_proj, block.linear2):
                weight.weight.zero_()
                weight.bias.zero_()
        assert torch.equal(mapper(x), mapper.constants.expand(4, 3, 8))


@pytest.mark.parametrize("dim", [16, 1024])
def test_what_is_read_of_a_unit_row_is_as_large_in_any_dimension(dim):
    """Weights uniform in [-1, 1] have variance 1/3; torch's own would give 0.58 / sqrt(dim)."""
    torch.manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(50, dim))
    for layer in (MLPMapper(dim, 10, 64).layers[0], TransformerMapper(dim, 10, 64, layers=1).spread):
        read = torch.nn.functional.linear(rows, layer.weight.detach())
        assert float(read.std()) == pytest.approx(3**-0.5, rel=0.1)


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"prefix must be a whole number in \[1, inf\), got 0"):
        MLPMapper(5, 0, 8)
    with pytest.raises(ValueError, match="heads must divide width 12, got 8"):
        TransformerMapper(5, 3, 12)
