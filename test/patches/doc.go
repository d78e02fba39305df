// Package patches has patch kits: what is to be changed in programs that use *os.File, so that they use ringfile. The
// programs come from the module cache or the module proxy; nothing of theirs is kept here but the expressions that are
// replaced. docs/adoption has a page on each.
//
//	go test -v .                                          # the short form: a part of VictoriaMetrics' tests
//	RINGFILE_SUITES=long go test -timeout 2h -v .         # before and after the patch, on each backend
//	go test -run NATS . -keep /tmp/nats                   # leaves the patched program there
//	RINGFILE_MEASURE=/mnt/disk go test -run MeasureNATS -count=1 -timeout 1h -v .
package patches
