// Command nethttp answers with a fixed text over TLS, with Go's net/http, for comparison with a plain program in Go.
//
// usage: nethttp ADDR CERTIFICATE KEY
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	body := []byte("Hello, World!")
	http.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	})
	log.Fatal(http.ListenAndServeTLS(os.Args[1], os.Args[2], os.Args[3], nil))
}
