package upload

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"fapws/runtime/backend"
)

// announcedDigest returns the SHA-256 that the fields Content-Digest and Repr-Digest of a request announce (RFC 9530), in hexadecimal
// digits; "": none. The body of an upload has no content coding, so both mean the same bytes. The error is a *refusal.
func announcedDigest(r *backend.Request) (sum string, err error) {
	for _, name := range [...]string{"Content-Digest", "Repr-Digest"} {
		value := r.Field(name)
		if value == "" {
			continue
		}
		found, err := readDigest(value)
		if err != nil {
			return "", refuse(400, "%s: %s", name, err.Error())
		}
		if sum != "" && sum != found {
			return "", refuse(400, "Content-Digest and Repr-Digest differ")
		}
		sum = found
	}
	return sum, nil
}

// readDigest returns the member sha-256 of a dictionary of byte sequences (RFC 9651): "sha-256=:base64:, sha-512=:base64:".
func readDigest(value string) (sum string, err error) {
	for member := range strings.SplitSeq(value, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		if key != "sha-256" {
			continue
		}
		value, _, _ = strings.Cut(value, ";") // parameters
		if len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
			return "", refuse(400, "the value of sha-256 must be base64 between colons")
		}
		raw, err := base64.StdEncoding.DecodeString(value[1 : len(value)-1])
		if err != nil || len(raw) != 32 {
			return "", refuse(400, "the value of sha-256 must be the base64 of 32 bytes")
		}
		return hex.EncodeToString(raw), nil
	}
	return "", refuse(400, "sha-256 is the only digest that is supported")
}

// checkSum returns an error if the draft has not the SHA-256 that was announced: hexadecimal digits of any case; "": none was.
func (d *draft) checkSum(announced string) error {
	if announced != "" && !strings.EqualFold(strings.TrimSpace(announced), d.sum()) {
		return refuse(400, "the upload has another SHA-256 than announced: %s", d.sum())
	}
	return nil
}
