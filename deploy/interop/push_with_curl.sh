# The least that counts as a push, request by request: nothing in it retries, so that it measures the registry alone.
# (docker and crane wait seconds before they try again.)

# Pushes an image of one layer with fresh content to node $1 as $2:$3 and prints its digest.
push_with_curl() {
    local base repository="$2" tag="$3" folder config layer
    base="http://$(api "$1")"
    folder="$(mktemp -d "$WORK/curl.XXXX")"
    head -c 1024 /dev/urandom >"$folder/content"
    tar --create --file "$folder/layer" --directory "$folder" content
    layer="$(digest_of "$folder/layer")"
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}' "$layer" \
        >"$folder/config"
    config="$(digest_of "$folder/config")"
    printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' \
        application/vnd.oci.image.manifest.v1+json \
        "$(descriptor application/vnd.oci.image.config.v1+json "$folder/config")" \
        "$(descriptor application/vnd.oci.image.layer.v1.tar "$folder/layer")" >"$folder/manifest"
    put_blob "$base" "$repository" "$folder/layer" "$layer" &&
        put_blob "$base" "$repository" "$folder/config" "$config" &&
        request --request PUT --header 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
            --data-binary "@$folder/manifest" "$base/v2/$repository/manifests/$tag" >/dev/null &&
        digest_of "$folder/manifest"
}

# Uploads the file $3 with digest $4 to repository $2 of the registry at $1, in one piece.
put_blob() {
    local location separator='?'
    location="$(request --request POST --data '' --dump-header - --output /dev/null "$1/v2/$2/blobs/uploads/" |
        tr -d '\r' | awk 'tolower($1) == "location:" { print $2 }')"
    case "$location" in
    http*) ;;
    /*) location="$1$location" ;;
    *) return 1 ;;
    esac
    case "$location" in
    *\?*) separator='&' ;;
    esac
    request --request PUT --header 'Content-Type: application/octet-stream' --data-binary "@$3" \
        "$location${separator}digest=$4" >/dev/null
}

# A request that a node holds back while there is no leader is given up and sent again, so that the time until a push
# works is known to a second. It logs in where `.netrc` says how.
request() { curl --netrc-optional --silent --show-error --fail --max-time 1 "$@"; }

digest_of() { printf 'sha256:%s' "$(sha256sum <"$1" | cut -d ' ' -f 1)"; }

descriptor() {
    printf '{"mediaType":"%s","digest":"%s","size":%d}' "$1" "$(digest_of "$2")" "$(stat --format %s "$2")"
}
