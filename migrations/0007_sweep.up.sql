-- Deleting what nobody points at: which buckets are this database's, and who sweeps them; and old results of shadows.

create table installation (
    -- There is one row.
    one            boolean primary key default true check (one),
    -- What the marker object of a bucket names: the bucket's objects are those of this database's rows.
    id             uuid not null default gen_random_uuid(),
    -- The worker that sweeps, for as long as it renews the time; one at a time.
    sweeping_by    text,
    sweeping_until timestamptz,
    -- When a worker last ended a sweep, well or not.
    swept_at       timestamptz,
    constraint installation_lease_is_whole check ((sweeping_by is null) = (sweeping_until is null))
);
insert into installation default values;

-- Whether any row points at an upload: a producer may let several files share one.
create index files_original on files using hash (storage_key_original);
-- Results of shadows are pruned by age.
create index release_shadows_at on release_shadows (at);
