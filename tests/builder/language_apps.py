"""Small apps of the languages whose package indexes tests can't reach: their packages are in the repository."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

GREETING_SPEC = """--- !ruby/object:Gem::Specification
name: greeting
version: !ruby/object:Gem::Version
  version: 1.0.0
platform: ruby
authors: [T]
date: 2024-01-01 00:00:00.000000000 Z
dependencies: []
executables: []
extensions: []
files: [lib/greeting.rb]
require_paths: [lib]
required_ruby_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '0'
required_rubygems_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '0'
specification_version: 4
summary: s
"""
RUBY = {
    "Gemfile": "source 'https://gems.example.test'\ngem 'greeting', '1.0.0'\n",
    "Gemfile.lock": "GEM\n  remote: https://gems.example.test/\n  specs:\n    greeting (1.0.0)\n\n"
    "PLATFORMS\n  ruby\n  x86_64-linux\n\nDEPENDENCIES\n  greeting (= 1.0.0)\n\nBUNDLED WITH\n   2.6.7\n",
    "app.rb": """require 'socket'
require 'bundler/setup'
require 'greeting'
server = TCPServer.new('0.0.0.0', ENV.fetch('PORT').to_i)
loop do
  client = server.accept
  client.gets
  body = "#{GREETING} #{ENV['RACK_ENV']}"
  client.write "HTTP/1.1 200 OK\\r\\nContent-Length: #{body.bytesize}\\r\\nConnection: close\\r\\n\\r\\n#{body}"
  client.close
end
""",
}
GO = {
    "go.mod": "module example.test/hello\n\ngo 1.22\n\nrequire example.test/greeting v1.0.0\n",
    "vendor/modules.txt": "# example.test/greeting v1.0.0\n## explicit; go 1.22\nexample.test/greeting\n",
    "vendor/example.test/greeting/greeting.go": 'package greeting\n\nconst Text = "Hello from Go"\n',
    "main.go": """package main

import (
	"fmt"
	"net/http"
	"os"

	"example.test/greeting"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, greeting.Text) })
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
""",
}
PHP = {
    "composer.json": json.dumps(
        {
            "require": {"php": "^8.2", "acme/greeting": "1.0.0"},
            "repositories": [{"packagist": False}, {"type": "artifact", "url": "packages"}],
        }
    ),
    "public/index.php": "<?php require __DIR__ . '/../vendor/autoload.php'; "
    "echo Acme\\Greeting::text(), ' ', $_SERVER['REQUEST_URI'], ' ', extension_loaded('intl');\n",
    "public/style.css": "body { margin: 0 }\n",
    "public/.secret": "x",
}
JAVA = {
    "pom.xml": """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>test</groupId><artifactId>hello</artifactId><version>1</version>
<properties><maven.compiler.release>17</maven.compiler.release>
<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<build><plugins><plugin><artifactId>maven-jar-plugin</artifactId><configuration><archive><manifest>
<mainClass>Hello</mainClass></manifest></archive></configuration></plugin></plugins></build></project>
""",
    "src/main/java/Hello.java": """import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Hello {
  public static void main(String[] words) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(System.getenv("PORT"))), 0);
    server.createContext("/", exchange -> {
      byte[] body = "Hello from Java".getBytes();
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
  }
}
""",
}
MAVEN_SETTINGS = """<settings><mirrors><mirror><id>disk</id><mirrorOf>*</mirrorOf>
<url>file://{repository}</url></mirror></mirrors></settings>
"""


def write_gem(path: Path) -> None:
    """`greeting` as `gem build` would write it."""

    def tar(files: dict[str, bytes]) -> bytes:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return target.getvalue()

    data = gzip.compress(tar({"lib/greeting.rb": b"GREETING = 'Hello from Ruby'\n"}), mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar({"metadata.gz": gzip.compress(GREETING_SPEC.encode(), mtime=0), "data.tar.gz": data}))


def write_composer_package(root: Path) -> None:
    """`acme/greeting` as a zip beside the app, and the lock file that names it."""
    about = {"name": "acme/greeting", "version": "1.0.0", "autoload": {"psr-4": {"Acme\\": "src/"}}}
    path = root / "packages" / "greeting.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("composer.json", json.dumps(about))
        source = "<?php namespace Acme; class Greeting { static function text() { return 'Hello from PHP'; } }\n"
        archive.writestr("src/Greeting.php", source)
    dist = {"type": "zip", "url": "packages/greeting.zip", "reference": hashlib.sha1(path.read_bytes()).hexdigest()}
    package = {**about, "dist": dist, "type": "library"}
    lock = {
        "content-hash": content_hash((root / "composer.json").read_text()),
        "packages": [package],
        "packages-dev": [],
        "aliases": [],
        "minimum-stability": "stable",
        "stability-flags": {},
        "prefer-stable": False,
        "prefer-lowest": False,
        "platform": {"php": "^8.2"},
        "platform-dev": {},
        "plugin-api-version": "2.6.0",
    }
    (root / "composer.lock").write_text(json.dumps(lock))


def content_hash(text: str) -> str:
    """Composer's own: the relevant keys, sorted, as PHP encodes them."""
    content = json.loads(text)
    keys = ("name", "version", "require", "require-dev", "conflict", "replace", "provide", "minimum-stability")
    keys += ("prefer-stable", "repositories", "extra")
    relevant = {key: content[key] for key in sorted(keys) if key in content}
    encoded = json.dumps(relevant, separators=(",", ":")).replace("/", "\\/")
    return hashlib.md5(encoded.encode()).hexdigest()
