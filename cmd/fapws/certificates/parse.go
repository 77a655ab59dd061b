package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// minRSA is the least length of an RSA key in bits.
const minRSA = 2048

// parse makes a certificate of the contents of the files of p. The error begins with the name of a file.
func (p *Pair) parse(cert, key []byte) (*tls.Certificate, error) {
	chain, err := parseChain(cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Cert, err)
	}
	private, err := parseKey(key)
	if err != nil {
		if p.Key == "" && errors.Is(err, errNoKey) {
			err = errors.New("has a certificate but no private key; name the file of the key with keyfile")
		}
		return nil, fmt.Errorf("%s: %w", p.keyFile(), err)
	}
	public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		for i, other := range chain[1:] {
			if ok && public.Equal(other.PublicKey) {
				return nil, fmt.Errorf("%s: certificate %d of the file belongs to the key, but must come first", p.Cert, i+2)
			}
		}
		return nil, fmt.Errorf("%s: this key does not belong to the certificate %s; keep the two files that were made together", p.keyFile(), p.Cert)
	}
	c := &tls.Certificate{PrivateKey: private, Leaf: chain[0]}
	for _, one := range chain {
		c.Certificate = append(c.Certificate, one.Raw)
	}
	return c, nil
}

// parseChain reads all certificates of a PEM file, of which there must be one at least.
func parseChain(data []byte) (chain []*x509.Certificate, err error) {
	keys := false
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			keys = keys || strings.HasSuffix(block.Type, "PRIVATE KEY")
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file cannot be read: %s", len(chain)+1, strings.TrimPrefix(err.Error(), "x509: "))
		}
		chain = append(chain, c)
	}
	switch {
	case len(chain) > 0:
		return chain, nil
	case keys:
		return nil, errors.New("has a private key but no certificate; are certfile and keyfile swapped?")
	case isDER(data):
		return nil, errors.New("is not in PEM format; convert it: openssl x509 -inform der -in FILE -out FILE.pem")
	case bytes.Contains(data, []byte("-----BEGIN")):
		return nil, errors.New("no complete certificate in this file; copy it again, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----")
	}
	return nil, errors.New("no certificate in this file; it must be in PEM format, with -----BEGIN CERTIFICATE-----")
}

// isDER reports whether data looks like the binary form of a certificate or key: an ASN.1 sequence.
func isDER(data []byte) bool { return len(data) > 4 && data[0] == 0x30 && data[1]&0x80 != 0 }

var errNoKey = errors.New("no private key in this file; it must be in PEM format, with -----BEGIN PRIVATE KEY-----")

// parseKey reads the first private key of a PEM file.
func parseKey(data []byte) (crypto.Signer, error) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if isDER(data) {
				return nil, errors.New("is not in PEM format; convert it: openssl pkey -inform der -in FILE -out FILE.pem")
			}
			return nil, errNoKey
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // a certificate, or parameters of a curve
		}
		return decodeKey(block)
	}
}

func decodeKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, errors.New("the private key is encrypted, and a server starts without anybody to type the password; decrypt it: openssl pkey -in FILE -out FILE.plain && chmod 600 FILE.plain")
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, errors.New("is a key of OpenSSH, not of TLS")
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("the private key cannot be read: %s", strings.TrimPrefix(err.Error(), "x509: "))
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if n := key.N.BitLen(); n < minRSA {
			return nil, fmt.Errorf("an RSA key of %d bits is too short: clients refuse less than %d", n, minRSA)
		}
		return key, nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P224() {
			return nil, errors.New("an ECDSA key must be of the curve P-256, P-384 or P-521")
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("a key must be RSA, ECDSA or Ed25519")
}

// maxFile bounds a file of certificates, in bytes. The certificates of all authorities that browsers trust take 250 KB.
const maxFile = 1 << 20

var errTooLarge = fmt.Errorf("larger than %d MiB, so not a file of certificates or keys", maxFile>>20)

// ReadFile reads a regular file of certificates or keys, and returns its permissions, too. It does not wait for a
// FIFO. The error is the cause alone.
func ReadFile(name string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, cause(err)
	case info.IsDir():
		return nil, 0, errors.New("is a directory; name the file in it")
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("is not a regular file")
	case info.Size() > maxFile:
		return nil, 0, errTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, cause(err)
	}
	if len(data) > maxFile {
		return nil, 0, errTooLarge
	}
	return data, info.Mode().Perm(), nil
}

// cause is the last part of an error of a system call: "permission denied".
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
