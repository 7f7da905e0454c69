"""Messages of torchserve_open_inference.proto. Made by tools/protos.py: change the .proto file, not this one."""

from google.protobuf import descriptor_pool as _pool
from google.protobuf import message_factory as _factory
from flambeau.grpc import open_inference_pb2 as _open_inference_pb2  # noqa: F401 - its names are needed

DESCRIPTOR = _pool.Default().AddSerializedFile(
    b'\n4flambeau/grpc/protos/torchserve_open_inference.proto\x12$org.pytorch.serv'
    b'e.grpc.openinference\x1a)flambeau/grpc/protos/open_inference.proto2\xfc\x03\n\x14GRPC'
    b'InferenceService\x12K\n\nServerLive\x12\x1c.inference.ServerLiveRequest\x1a\x1d.inference'
    b'.ServerLiveResponse"\x00\x12N\n\x0bServerReady\x12\x1d.inference.ServerReadyRequest\x1a\x1e.in'
    b'ference.ServerReadyResponse"\x00\x12K\n\nModelReady\x12\x1c.inference.ModelReadyReques'
    b't\x1a\x1d.inference.ModelReadyResponse"\x00\x12W\n\x0eServerMetadata\x12 .inference.ServerM'
    b'etadataRequest\x1a!.inference.ServerMetadataResponse"\x00\x12T\n\rModelMetadata\x12\x1f.i'
    b'nference.ModelMetadataRequest\x1a .inference.ModelMetadataResponse"\x00\x12K\n\nMod'
    b'elInfer\x12\x1c.inference.ModelInferRequest\x1a\x1d.inference.ModelInferResponse"\x00b\x06'
    b'proto3'
)

