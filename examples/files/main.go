// Files is a static file server that stays alive while its disk hangs. Package serve is its handler.
//
//	cd examples
//	go run ./files -listen localhost:8080 /srv/www
package main

import (
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/examples/files/serve"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "where to listen")
	patience := flag.Duration("patience", 5*time.Second, "how long the disk may take for a step")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: files [-listen ADDRESS] [-patience TIME] DIRECTORY")
	}
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*listen, serve.Handler(e, flag.Arg(0), *patience)))
}
