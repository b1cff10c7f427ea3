r"""Write a transposed convolution as a 1x1 convolution and a pixel shuffle.

With a kernel of 2 px and stride 2, each place of the output sees one place of the input,

.. math:: y_{c, 2i + a, 2j + b} = \sum_k W_{k, c, a, b} \, x_{k, i, j} + \beta_c ,

so that it is a 1x1 convolution to four times the channels, of which each four are arranged as 2 x 2
places. In float the transposed one is faster, above all with few channels. It has no int8 form.
"""

from collections.abc import Collection
from functools import partial

import onnx
from onnx import helper, numpy_helper

__all__ = ["shuffled"]

DOUBLES = {"kernel_shape": [2, 2], "strides": [2, 2]}


def shuffled(model: onnx.ModelProto, *, kept: Collection[str] = ()) -> onnx.ModelProto:
    """Return a graph with a 1x1 convolution and a pixel shuffle for each transposed convolution."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "ConvTranspose" or node.name in kept or not _doubles(node):
            nodes.append(node)
            continue
        value, weight, bias = node.input
        channels = f"{node.name}/channels"
        conv = helper.make_node("Conv", [value, weight, bias], [channels], name=channels)
        conv.attribute.append(helper.make_attribute("kernel_shape", [1, 1]))
        arrange = partial(helper.make_node, "DepthToSpace", blocksize=2, mode="CRD")
        nodes += [conv, arrange([channels], node.output, name=node.name)]
        _rearrange(weights[weight], weights[bias])
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def _doubles(node: onnx.NodeProto) -> bool:
    found = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return all(found.get(name) == value for name, value in DOUBLES.items())


def _rearrange(weight: onnx.TensorProto, bias: onnx.TensorProto) -> None:
    """Turn weight (in, out, 2, 2) and bias (out,) into those of the 1x1 convolution."""
    array = numpy_helper.to_array(weight)
    flat = array.transpose(1, 2, 3, 0).reshape(-1, len(array), 1, 1)
    weight.CopyFrom(numpy_helper.from_array(flat.copy(), weight.name))
    repeated = numpy_helper.to_array(bias).repeat(4)
    bias.CopyFrom(numpy_helper.from_array(repeated, bias.name))
