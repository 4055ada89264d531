package server

// NewOf makes a server of protocols that only a test has.
var NewOf = newServer
