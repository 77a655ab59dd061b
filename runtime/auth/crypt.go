package auth

import (
	"crypto/md5"
	"hash"
	"sync"
)

// itoa64 are the digits of crypt(3).
const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// append64 appends n digits of v, the lowest first.
func append64(dst []byte, v uint, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, itoa64[v&63])
		v >>= 6
	}
	return dst
}

// md5Crypt is Poul-Henning Kamp's hash of FreeBSD 2, which Apache uses with the
// magic "$apr1$". It returns the whole hash.
func md5Crypt(magic, salt, password string) string {
	alternate := md5.Sum([]byte(password + salt + password))
	h := md5.New()
	h.Write([]byte(password + magic + salt))
	for n := len(password); n > 0; n -= md5.Size {
		h.Write(alternate[:min(n, md5.Size)])
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write([]byte{0})
		} else {
			h.Write([]byte{password[0]})
		}
	}
	sum := h.Sum(nil)
	for i := range 1000 {
		h.Reset()
		mix(h, i&1 != 0, []byte(password), sum)
		if i%3 != 0 {
			h.Write([]byte(salt))
		}
		if i%7 != 0 {
			h.Write([]byte(password))
		}
		mix(h, i&1 == 0, []byte(password), sum)
		sum = h.Sum(sum[:0])
	}
	out := []byte(magic + salt + "$")
	for i := range 5 {
		last := i + 12
		if last == 16 {
			last = 5
		}
		out = append64(out, uint(sum[i])<<16|uint(sum[i+6])<<8|uint(sum[last]), 4)
	}
	return string(append64(out, uint(sum[11]), 2))
}

func mix(h hash.Hash, first bool, a, b []byte) {
	if first {
		h.Write(a)
	} else {
		h.Write(b)
	}
}

// shaCrypt is Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512", version
// 0.6. It returns the sum as text.
func shaCrypt(make func() hash.Hash, order [][3]int, salt, password string, rounds int) string {
	p, s := []byte(password), []byte(salt)
	h := make()
	h.Write(p)
	h.Write(s)
	h.Write(p)
	b := h.Sum(nil)

	h.Reset()
	h.Write(p)
	h.Write(s)
	writeRepeated(h, b, len(p))
	for n := len(p); n > 0; n >>= 1 {
		mix(h, n&1 != 0, b, p)
	}
	a := h.Sum(nil)

	h.Reset()
	for range p {
		h.Write(p)
	}
	pp := repeated(h.Sum(nil), len(p))
	h.Reset()
	for range 16 + int(a[0]) {
		h.Write(s)
	}
	ss := repeated(h.Sum(nil), len(s))

	for i := range rounds {
		h.Reset()
		mix(h, i&1 != 0, pp, a)
		if i%3 != 0 {
			h.Write(ss)
		}
		if i%7 != 0 {
			h.Write(pp)
		}
		mix(h, i&1 != 0, a, pp)
		a = h.Sum(a[:0])
	}
	var out []byte
	at := func(i int) uint {
		if i < 0 {
			return 0
		}
		return uint(a[i])
	}
	for _, o := range order {
		digits := 4
		if o[0] < 0 {
			digits--
		}
		if o[1] < 0 {
			digits--
		}
		out = append64(out, at(o[0])<<16|at(o[1])<<8|at(o[2]), digits)
	}
	return string(out)
}

func writeRepeated(h hash.Hash, b []byte, n int) {
	for ; n > 0; n -= len(b) {
		h.Write(b[:min(n, len(b))])
	}
}

func repeated(b []byte, n int) (out []byte) {
	for len(out) < n {
		out = append(out, b[:min(n-len(out), len(b))]...)
	}
	return out
}

// The order in which the bytes of a sum are written, three to four digits; -1
// is none.
var orders = sync.OnceValues(func() (of256, of512 [][3]int) {
	for i, x := 0, [3]int{0, 10, 20}; i < 10; i++ {
		of256 = append(of256, x)
		x = [3]int{(x[2] + 1) % 30, (x[0] + 1) % 30, (x[1] + 1) % 30}
	}
	of256 = append(of256, [3]int{-1, 31, 30})
	for i, x := 0, [3]int{0, 21, 42}; i < 21; i++ {
		of512 = append(of512, x)
		x = [3]int{(x[1] + 1) % 63, (x[2] + 1) % 63, (x[0] + 1) % 63}
	}
	return of256, append(of512, [3]int{-1, -1, 63})
})
