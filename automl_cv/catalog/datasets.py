import gzip
import numpy as np
def read_idx(path):
    with gzip.open(path) as f:
        data=f.read()
    d=data[3]
    shape=np.frombuffer(data,">u4",count=d,offset=4)
    return np.frombuffer(data,np.uint8,offset=4+4*d).reshape(shape)
