// Command nethttp is a plain Go program that serves a fixed text over TLS with net/http. The benchmarks compare fapws
// with it.
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
