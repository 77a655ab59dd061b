package ctl

import "fmt"

// Pattern says which pages of the cache are to go.
type Pattern struct {
	Path string `json:",omitempty"` // "/page", "/page?a=1", "/blog/*", "*"
	Host string `json:",omitempty"` // "": of all hosts
	Tag  string `json:",omitempty"` // instead of Path
}

// Cache is the state of the caches of all workers together.
type Cache struct {
	Entries     int   `json:"entries"`
	Bytes       int64 `json:"bytes"`
	Limit       int64 `json:"limit"`
	Hits        int64 `json:"hits"`
	Stale       int64 `json:"stale"`
	Misses      int64 `json:"misses"`
	Revalidated int64 `json:"revalidated"` // of the misses: pages that their handlers have confirmed
	Bypassed    int64 `json:"bypassed"`
}

// Add adds the figures of another worker.
func (c *Cache) Add(o *Cache) {
	c.Entries += o.Entries
	c.Bytes += o.Bytes
	c.Limit += o.Limit
	c.Hits += o.Hits
	c.Stale += o.Stale
	c.Misses += o.Misses
	c.Revalidated += o.Revalidated
	c.Bypassed += o.Bypassed
}

// String says it to people.
func (c *Cache) String() string {
	asked := c.Hits + c.Stale + c.Misses + c.Bypassed
	rate := 0.0
	if asked > 0 {
		rate = 100 * float64(c.Hits+c.Stale) / float64(asked)
	}
	return fmt.Sprintf("cache: %s, %.1f of %.1f MB, %.1f %% of %d requests answered from it",
		pages(c.Entries), float64(c.Bytes)/1e6, float64(c.Limit)/1e6, rate, asked)
}

func pages(n int) string {
	if n == 1 {
		return "1 page"
	}
	return fmt.Sprintf("%d pages", n)
}
