// Package fastcgi has requests answered by applications that speak FastCGI 1.0, over connections that are used again.
// It is a responder of package backend; package cgi finds the scripts, makes the variables and reads the answers. A
// connection carries one request at a time. Start reading at FastCGI.
package fastcgi
