"""Messages of management.proto. Made by tools/protos.py: change the .proto file, not this one."""

from google.protobuf import descriptor_pool as _pool
from google.protobuf import message_factory as _factory

DESCRIPTOR = _pool.Default().AddSerializedFile(
    b'\n%flambeau/grpc/protos/management.proto\x12!org.pytorch.serve.grpc.manageme'
    b'nt"&\n\x12ManagementResponse\x12\x10\n\x03msg\x18\x01 \x01(\tR\x03msg"z\n\x14DescribeModelRequest\x12\x1d\n\nmo'
    b'del_name\x18\x01 \x01(\tR\tmodelName\x12#\n\rmodel_version\x18\x02 \x01(\tR\x0cmodelVersion\x12\x1e\n\ncustom'
    b'ized\x18\x03 \x01(\x08R\ncustomized"`\n\x11ListModelsRequest\x12\x19\n\x05limit\x18\x01 \x01(\x05H\x00R\x05limit\x88\x01\x01\x12&'
    b'\n\x0fnext_page_token\x18\x02 \x01(\x05R\rnextPageTokenB\x08\n\x06_limit"\xb1\x03\n\x14RegisterModelReques'
    b't\x12\x1d\n\nbatch_size\x18\x01 \x01(\x05R\tbatchSize\x12\x18\n\x07handler\x18\x02 \x01(\tR\x07handler\x12,\n\x0finitial_wo'
    b'rkers\x18\x03 \x01(\x05H\x00R\x0einitialWorkers\x88\x01\x01\x12+\n\x0fmax_batch_delay\x18\x04 \x01(\x05H\x01R\rmaxBatchDel'
    b'ay\x88\x01\x01\x12\x1d\n\nmodel_name\x18\x05 \x01(\tR\tmodelName\x12)\n\x10response_timeout\x18\x06 \x01(\x05R\x0fresponse'
    b'Timeout\x12\x18\n\x07runtime\x18\x07 \x01(\tR\x07runtime\x12 \n\x0bsynchronous\x18\x08 \x01(\x08R\x0bsynchronous\x12\x10\n\x03u'
    b"rl\x18\t \x01(\tR\x03url\x12\x1c\n\ns3_sse_kms\x18\n \x01(\x08R\x08s3SseKms\x12'\n\x0fstartup_timeout\x18\x0b \x01(\x05R\x0est"
    b'artupTimeoutB\x12\n\x10_initial_workersB\x12\n\x10_max_batch_delay"\xaa\x02\n\x12ScaleWorkerRequ'
    b'est\x12\x1d\n\nmodel_name\x18\x01 \x01(\tR\tmodelName\x12#\n\rmodel_version\x18\x02 \x01(\tR\x0cmodelVersion\x12'
    b'"\n\nmax_worker\x18\x03 \x01(\x05H\x00R\tmaxWorker\x88\x01\x01\x12"\n\nmin_worker\x18\x04 \x01(\x05H\x01R\tminWorker\x88\x01\x01\x12'
    b'\x1d\n\nnumber_gpu\x18\x05 \x01(\x05R\tnumberGpu\x12 \n\x0bsynchronous\x18\x06 \x01(\x08R\x0bsynchronous\x12\x1d\n\x07time'
    b'out\x18\x07 \x01(\x05H\x02R\x07timeout\x88\x01\x01B\r\n\x0b_max_workerB\r\n\x0b_min_workerB\n\n\x08_timeout"W\n\x11Set'
    b'DefaultRequest\x12\x1d\n\nmodel_name\x18\x01 \x01(\tR\tmodelName\x12#\n\rmodel_version\x18\x02 \x01(\tR\x0cmo'
    b'delVersion"\\\n\x16UnregisterModelRequest\x12\x1d\n\nmodel_name\x18\x01 \x01(\tR\tmodelName\x12#\n\rm'
    b'odel_version\x18\x02 \x01(\tR\x0cmodelVersion2\xa0\x06\n\x15ManagementAPIsService\x12\x81\x01\n\rDescribeM'
    b'odel\x127.org.pytorch.serve.grpc.management.DescribeModelRequest\x1a5.org.pyto'
    b'rch.serve.grpc.management.ManagementResponse"\x00\x12{\n\nListModels\x124.org.pytor'
    b'ch.serve.grpc.management.ListModelsRequest\x1a5.org.pytorch.serve.grpc.mana'
    b'gement.ManagementResponse"\x00\x12\x81\x01\n\rRegisterModel\x127.org.pytorch.serve.grpc.m'
    b'anagement.RegisterModelRequest\x1a5.org.pytorch.serve.grpc.management.Manag'
    b'ementResponse"\x00\x12}\n\x0bScaleWorker\x125.org.pytorch.serve.grpc.management.Scale'
    b'WorkerRequest\x1a5.org.pytorch.serve.grpc.management.ManagementResponse"\x00\x12{'
    b'\n\nSetDefault\x124.org.pytorch.serve.grpc.management.SetDefaultRequest\x1a5.org'
    b'.pytorch.serve.grpc.management.ManagementResponse"\x00\x12\x85\x01\n\x0fUnregisterModel\x12'
    b'9.org.pytorch.serve.grpc.management.UnregisterModelRequest\x1a5.org.pytorch'
    b'.serve.grpc.management.ManagementResponse"\x00B\x02P\x01b\x06proto3'
)
ManagementResponse = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ManagementResponse"])
DescribeModelRequest = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DescribeModelRequest"])
ListModelsRequest = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ListModelsRequest"])
RegisterModelRequest = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["RegisterModelRequest"])
ScaleWorkerRequest = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ScaleWorkerRequest"])
SetDefaultRequest = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["SetDefaultRequest"])
UnregisterModelRequest = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["UnregisterModelRequest"])
