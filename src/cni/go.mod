module picket.dev/cni

go 1.19
