# Runs in a buildpack build's pod: writes an archive to stdout of a list of everything there is, and of what is new
# or changed since receive.sh.
export LC_ALL=C
cd /
find app workspace/cache workspace/out -mindepth 1 -printf '%y%p\0' >/tmp/listing
find app workspace/cache workspace/out -mindepth 1 -print0 | sort -z | comm -z -13 /tmp/.had - >/tmp/.new
find app workspace/cache workspace/out -mindepth 1 -cnewer /tmp/.received -print0 | sort -z -u - /tmp/.new >/tmp/.changed
tar -c -f - --format=gnu --no-recursion -C /tmp listing -C / --null --no-unquote --verbatim-files-from -T /tmp/.changed
[ $? -le 1 ] # 1: something that the build left running still writes
