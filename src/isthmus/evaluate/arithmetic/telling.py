"""A caption of the point that an expression leads to, from a captioner that knows where modalities lie."""

import numpy as np

from isthmus.checks import unit_rows
from isthmus.decode.generation import Writing
from isthmus.decode.writer import CaptionWriter
from isthmus.evaluate.arithmetic.expression import Expression


def tell(writer: CaptionWriter, expression: Expression, rows: np.ndarray) -> Writing:
    """Write a caption of the point that an expression leads to.

    A captioner that subtracts means (C3) does so from every operand, each its
    modality's, before they are added: weights then need not sum to 1 for the
    point to be where its decoder has learned to read.

    Parameters
    ----------
    writer : CaptionWriter
        Of a run that knows the modality of every operand, or subtracts no mean.
    expression : Expression
        What is calculated.
    rows : ndarray of shape (operands, dim)
        Embeddings of the operands, as the encoder gives them.

    Returns
    -------
    Writing
        The caption, and its score.

    Raises
    ------
    ValueError
        The captioner does not know an operand's modality, or the operands cancel each other out.

    References
    ----------
    .. [1] Tewel et al., "ZeroCap: Zero-Shot Image-to-Text Generation for Visual-Semantic Arithmetic",
       CVPR 2022, section 3.3, which adds embeddings as they are.
    .. [2] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 4: the means.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.decode.data import CaptionData
    >>> from isthmus.decode.settings import CaptionTraining
    >>> from isthmus.decode.training import train_captioner
    >>> from isthmus.decode.writer import open_writer
    >>> from isthmus.evaluate.arithmetic.expression import parse_expression
    >>> data = CaptionData({"text": np.eye(4)}, list("abcd"), ["dog", "cat", "sun", "sea"])
    >>> run = train_captioner(data, CaptionTraining("CLIPRe", held_out=0.0), folder=tempfile.mkdtemp())
    >>> found = parse_expression("text:a - text:b + text:c + text:c")
    >>> tell(open_writer(run.folder), found, np.eye(4)[:3]).text
    'sun'
    """
    modalities = [operand.modality for operand, _ in expression.terms]
    connection = writer.connection
    if not connection.method.collapse:
        return writer.write(expression.point(rows)[None], modalities[0])[0]
    for (operand, _), modality in zip(expression.terms, modalities, strict=True):
        if modality not in connection.means:
            known = ", ".join(connection.means)
            raise expression.error(
                operand.at, f"{writer.run.folder} has not learned where {modality} lies: it knows {known}"
            )
    infer = connection.infer
    collapsed = np.concatenate(
        [infer(np.asarray(row, float)[None], m) for row, m in zip(rows, modalities, strict=True)]
    )
    point = place(expression.point(collapsed), connection.means[modalities[0]])
    return writer.write(point[None], modalities[0])[0]


def place(direction: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the row of unit length that becomes a direction when a mean is subtracted and its length made 1.

    Parameters
    ----------
    direction : ndarray of shape (dim,)
        Of any length but 0.
    mean : ndarray of shape (dim,)
        Shorter than 1, as means of unit rows are.

    Returns
    -------
    ndarray of shape (dim,)
        ``mean + t * direction`` with the one t > 0 that makes it of unit length.

    Examples
    --------
    >>> row = place(np.array([0.0, 2.0]), np.array([0.6, 0.0]))
    >>> row, unit_rows([row - [0.6, 0.0]])
    (array([0.6, 0.8]), array([[0., 1.]]))
    """
    unit = unit_rows(direction[None])[0]
    along = float(unit @ mean)
    return mean + unit * (np.sqrt(along**2 + 1 - float(mean @ mean)) - along)
