package static

type cache struct{ limit int }
