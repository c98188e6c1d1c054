#!/bin/bash
# moto (PyPI): a server that many teams test against.
. "$(dirname "$0")/lib.sh"
PY=$TOOLS/python/bin; [ -x "$PY/moto_server" ] || skip 'moto is missing: cargo xtask setup'
"$PY/moto_server" -H 127.0.0.1 -p "$S3" >"$W/moto.log" 2>&1 & PIDS+=($!); reachable || { echo 'FAIL moto did not start'; BAD=1; exit; }
export AWS_EC2_METADATA_DISABLED=true
"$PY/python" - "$S3" <<'P'
import boto3, sys
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
s3.create_bucket(Bucket="reports")
s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
P
verdict 'Object Lock' "$(row bucket S3_BUCKET=locked)" 'ok .*'
verdict 'encryption' "$(row bucket S3_SSE=AES256)" 'ok .*'
verdict 'encryption by a key of KMS' "$(row bucket S3_SSE=aws:kms S3_SSE_KMS_KEY_ID=alias/reports)" 'ok .*'
# moto's own STS gives keys of a session for any token.
echo eyJhbGciOiJub25lIn0.e30. > "$W/token"
verdict 'role: web identity' "$(row bucket S3_ACCESS_KEY_ID= S3_SECRET_ACCESS_KEY= AWS_EC2_METADATA_DISABLED=true AWS_WEB_IDENTITY_TOKEN_FILE="$W/token" AWS_ROLE_ARN=arn:aws:iam::123456789012:role/reports AWS_ENDPOINT_URL_STS="http://127.0.0.1:$S3")" 'ok .*'
cases
