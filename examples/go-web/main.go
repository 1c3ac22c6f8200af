// A small web server that says who answers.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from Go, %s\n", greeting(), os.Getenv("WORKFLOW_RELEASE"))
	})
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}

func greeting() string {
	if text := os.Getenv("GREETING"); text != "" {
		return text
	}
	return "Hello"
}
