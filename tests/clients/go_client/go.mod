module sparkpost_go

go 1.18

require github.com/SparkPost/gosparkpost v0.2.0

require github.com/pkg/errors v0.9.1 // indirect
