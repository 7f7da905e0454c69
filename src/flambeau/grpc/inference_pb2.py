"""Messages of inference.proto. Made by tools/protos.py: change the .proto file, not this one."""

from google.protobuf import descriptor_pool as _pool
from google.protobuf import message_factory as _factory
from google.protobuf import empty_pb2 as _empty_pb2  # noqa: F401 - its names are needed
from google.rpc import status_pb2 as _status_pb2  # noqa: F401 - its names are needed

DESCRIPTOR = _pool.Default().AddSerializedFile(
    b'\n$flambeau/grpc/protos/inference.proto\x12 org.pytorch.serve.grpc.inference'
    b'\x1a\x1bgoogle/protobuf/empty.proto\x1a\x17google/rpc/status.proto"\x8a\x02\n\x12PredictionsRe'
    b'quest\x12\x1d\n\nmodel_name\x18\x01 \x01(\tR\tmodelName\x12#\n\rmodel_version\x18\x02 \x01(\tR\x0cmodelVersio'
    b'n\x12U\n\x05input\x18\x03 \x03(\x0b2?.org.pytorch.serve.grpc.inference.PredictionsRequest.I'
    b'nputEntryR\x05input\x12\x1f\n\x0bsequence_id\x18\x04 \x01(\tR\nsequenceId\x1a8\n\nInputEntry\x12\x10\n\x03key\x18\x01'
    b' \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\x0cR\x05value:\x028\x01"\x81\x01\n\x12PredictionResponse\x12\x1e\n\nprediction'
    b'\x18\x01 \x01(\x0cR\nprediction\x12\x1f\n\x0bsequence_id\x18\x02 \x01(\tR\nsequenceId\x12*\n\x06status\x18\x03 \x01(\x0b2\x12.go'
    b'ogle.rpc.StatusR\x06status"2\n\x18TorchServeHealthResponse\x12\x16\n\x06health\x18\x01 \x01(\tR\x06hea'
    b'lth2\x80\x04\n\x14InferenceAPIsService\x12\\\n\x04Ping\x12\x16.google.protobuf.Empty\x1a:.org.pytor'
    b'ch.serve.grpc.inference.TorchServeHealthResponse"\x00\x12{\n\x0bPredictions\x124.org.'
    b'pytorch.serve.grpc.inference.PredictionsRequest\x1a4.org.pytorch.serve.grpc'
    b'.inference.PredictionResponse"\x00\x12\x83\x01\n\x11StreamPredictions\x124.org.pytorch.serv'
    b'e.grpc.inference.PredictionsRequest\x1a4.org.pytorch.serve.grpc.inference.P'
    b'redictionResponse"\x000\x01\x12\x86\x01\n\x12StreamPredictions2\x124.org.pytorch.serve.grpc.in'
    b'ference.PredictionsRequest\x1a4.org.pytorch.serve.grpc.inference.Prediction'
    b'Response"\x00(\x010\x01B\x02P\x01b\x06proto3'
)
PredictionsRequest = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["PredictionsRequest"])
PredictionResponse = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["PredictionResponse"])
TorchServeHealthResponse = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TorchServeHealthResponse"])
