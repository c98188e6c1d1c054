drop index release_shadows_at;
drop index files_original;
drop table installation;
