package acme

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// maxOrder is the most bytes of an order that are read: it has a line for each of its names.
const maxOrder = 1 << 20

// finalizer sends requests to an authority. It gives the response to the request that finalizes an order its Location, the URL of the order:
// golang.org/x/crypto/acme asks there for the certificate, but RFC 8555 §7.4 does not require the field, and some authorities leave it out.
// It is safe for concurrent use.
type finalizer struct {
	http.RoundTripper
	orders sync.Map // the URLs of orders by those of the requests that finalize them
}

// RoundTrip implements http.RoundTripper.
func (f *finalizer) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	location := resp.Header.Get("Location")
	switch {
	case resp.StatusCode == http.StatusCreated && location != "":
		err = f.created(resp, location)
	case location == "":
		if order, ok := f.orders.Load(r.URL.String()); ok {
			resp.Header.Set("Location", order.(string))
		}
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// created notes the order that resp may be about. An account is created, too.
func (f *finalizer) created(resp *http.Response, location string) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOrder))
	if err != nil {
		return err
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var order struct{ Finalize string }
	if json.Unmarshal(body, &order) == nil && order.Finalize != "" {
		f.orders.Store(order.Finalize, location)
	}
	return nil
}
