-- Guests as releases: what is published, what each channel runs, and who changed it.

create table guest_releases (
    -- sha256 of the component, lower hex: the same bytes are the same release.
    digest         text primary key check (digest ~ '^[0-9a-f]{64}$'),
    prompt_version text not null,
    -- Other bytes under a published prompt version stand beside the first.
    revision       integer not null check (revision >= 1),
    schema_version text not null,
    size_bytes     bigint not null check (size_bytes > 0),
    toolchain      text,
    -- The hash of its sources, as the build stamped it.
    sources        text,
    published_by   text not null,
    published_at   timestamptz not null default now(),
    -- Serves no new jobs from then on; jobs that have pinned it run on it to their end.
    retired_at     timestamptz,
    unique (prompt_version, revision)
);

create table release_channels (
    channel        text primary key,
    active         text references guest_releases (digest),
    canary         text references guest_releases (digest),
    -- Of new jobs, by a hash of the file's id.
    canary_percent integer check (canary_percent between 1 and 99),
    canary_since   timestamptz,
    changed_at     timestamptz not null default now(),
    constraint release_channels_canary_is_whole
        check ((canary is null) = (canary_percent is null) and (canary is null) = (canary_since is null)),
    -- A canary beside nothing would leave the other jobs without a guest.
    constraint release_channels_canary_beside_active check (canary is null or active is not null),
    constraint release_channels_canary_is_another check (canary is null or canary <> active)
);

-- Rows are added and never changed.
create table release_changes (
    id          bigint generated always as identity primary key,
    at          timestamptz not null default now(),
    actor       text not null,
    action      text not null
                check (action in ('publish', 'activate', 'canary', 'promote', 'rollback', 'retire')),
    channel     text,
    digest_from text,
    digest_to   text,
    reason      text not null default '',
    -- The channel as it was and as it became: what a rollback restores.
    before      jsonb,
    after       jsonb,
    -- For a rollback: the change that it undid.
    undid       bigint references release_changes (id)
);

create index release_changes_channel on release_changes (channel, id);

create function assay_releases_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('assay_releases', '');
    return null;
end
$$;

create trigger release_channels_changed after insert or update or delete on release_channels
    for each statement execute function assay_releases_changed();
create trigger guest_releases_changed after insert or update or delete on guest_releases
    for each statement execute function assay_releases_changed();

-- A release that a live job has pinned cannot be deleted: its retries run on it.
create function assay_release_in_use() returns trigger language plpgsql as $$
begin
    if exists (select from processing_jobs j
                where j.guest_digest = old.digest and j.status in ('queued', 'processing')) then
        raise exception 'guest_releases: live jobs have pinned %', old.digest
            using errcode = 'foreign_key_violation', hint = 'Retire it; delete it when its jobs have ended.';
    end if;
    return old;
end
$$;

create trigger guest_releases_in_use before delete on guest_releases
    for each row execute function assay_release_in_use();
