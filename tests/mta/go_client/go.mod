module go_client

go 1.18

require github.com/d--j/go-milter v0.8.1

require (
	github.com/emersion/go-message v0.16.0 // indirect
	golang.org/x/text v0.7.0 // indirect
)
